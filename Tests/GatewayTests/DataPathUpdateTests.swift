import Door
import Gateway
import Testing
import TestSupport

/// Calls that are under way while their connector is updated.
@Suite("data path: updates")
struct DataPathUpdateTests {
    /// The machine that was found is about to go: the call takes the new one, with the new one's credentials.
    @Test func aCallThatWaitsMovesOn() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            fixture.support.state.withLockedValue { $0.isHeld = true }
            let calls = (1...3).map { _ in Task { try await fixture.call("echo") } }
            #expect(await eventually { fixture.support.state.withLockedValue { $0.starts } == 1 })
            let second = try await fixture.boot("boot2", machine: "fedcba98765432")
            fixture.support.state.withLockedValue { $0.machines["time"] = second.address }
            try fixture.publish(generation: 2)
            fixture.support.state.withLockedValue { $0.isHeld = false }
            for call in calls { #expect(try await call.value.content == "boot2") }
            #expect(fixture.door.calls.isEmpty && second.calls(of: "echo") == 3)
            #expect(fixture.calls().map(\.outcome) == [.allowed, .allowed, .allowed])
            await second.stop()
        }
    }

    /// `--drain`: a session that is open stays where it is; whoever comes later has the new one.
    @Test func aSessionThatMayStayStays() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let old = try #require(try await fixture.initialize().session)
            #expect(try await fixture.legacyCall("echo", session: old).content == "boot1")
            let second = try await fixture.boot("boot2", machine: "fedcba98765432")
            fixture.support.state.withLockedValue { $0.machines["time"] = second.address }
            try fixture.publish(generation: 2, floor: 1)
            #expect(try await fixture.legacyCall("echo", session: old).content == "boot1")
            let new = try #require(try await fixture.initialize().session)
            #expect(try await fixture.legacyCall("echo", session: new).content == "boot2")
            try fixture.publish(generation: 3, floor: 3)
            #expect(try await fixture.legacyCall("echo", session: old).content == "boot2")
            await second.stop()
        }
    }
}
