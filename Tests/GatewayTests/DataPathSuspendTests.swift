import Gateway
import Glibc
import JSONText
import Testing
import TestSupport

/// A suspended machine's door is marked by the orchestrator: nothing is sent into it, and who needs it wakes it.
@Suite("data path: suspended machines")
struct DataPathSuspendTests {
    private func path(_ fixture: DataPathFixture) -> String { String(fixture.door.address.door.dropFirst("unix:".count)) }

    /// As the orchestrator does it.
    private func close(_ fixture: DataPathFixture) { _ = chmod(path(fixture), 0o1600) }

    @Test func aClosedDoorIsNotKnockedAtAndItsBootComesBack() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            // A connection is open and idle: it would lead into silence.
            #expect(try await fixture.call("echo").content == "boot1")
            close(fixture)
            let delivered = fixture.door.calls.count
            let asked = fixture.support.state.withLockedValue { $0.refreshes }
            fixture.support.onRefresh.withLockedValue { [path = path(fixture)] in $0 = { _ = chmod(path, 0o660) } }
            let answers = try await eventuallyAnswered(fixture, refreshes: asked)
            #expect(answers.content == "boot1" && answers.result?["_meta"]?["berth/restarted"] == nil)
            #expect(fixture.door.calls.count == delivered + fixture.calls().count - 1, "every row is one delivery")
            #expect(fixture.calls().allSatisfy { $0.outcome == .allowed && $0.reason.isEmpty })
            #expect(fixture.support.state.withLockedValue { $0.pins.values.map(\.epoch) } == [1], "the pin holds")
        }
    }

    @Test func aMachineThatDoesNotWakeFailsTheCallUndelivered() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            close(fixture)
            let answer = try await fixture.call("echo")
            #expect(answer.errorCode == 1001 && answer.message == "the machine is suspended")
            #expect(fixture.door.calls.isEmpty)
        }
    }

    /// The orchestrator closed the door and froze the machine while the call was on its way.
    @Test func aMachineThatWasSuspendedUnderACallIsWaked() async throws {
        try await DataPathFixture.with { (fixture) async throws in
            let call = Task { try await fixture.call("slow") }
            #expect(await eventually { !fixture.door.calls.isEmpty })
            #expect(fixture.support.state.withLockedValue { $0.wakes }.isEmpty)
            close(fixture)
            #expect(await eventually { fixture.support.state.withLockedValue { $0.wakes.contains("0123456789abcd of app-time") } })
            _ = chmod(path(fixture), 0o660)
            call.cancel()
            _ = await call.result
        }
    }

    /// Calls until one had to ask: a look at the door holds for a tenth of a second, in which the machine still runs.
    private func eventuallyAnswered(_ fixture: DataPathFixture, refreshes: Int) async throws -> DataPathFixture.Answer {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            let answer = try await fixture.call("echo")
            if fixture.support.state.withLockedValue({ $0.refreshes }) > refreshes { return answer }
        }
        Issue.record("nobody looked at the door")
        return try await fixture.call("echo")
    }
}
