import Foundation
@testable import Gateway
import JSONText
import MachineAPI
import MCP
import NIOCore
import Testing
import TestSupport

/// Calls that wait for a machine to start.
@Suite("data path: wake queue")
struct DataPathWakeTests {
    private func data(_ answer: DataPathFixture.Answer) -> JSONValue? { answer.json["error"]?["data"] }

    @Test func pastItsTimeACallIsNotDeliveredAndSaysWhenToComeAgain() async throws {
        try await DataPathFixture.with(DataPathFixture.settings { $0.wakeTime = .milliseconds(200) }) { (fixture) async throws in
            fixture.support.state.withLockedValue { $0.isHeld = true }
            let late = try await fixture.call("echo")
            #expect(data(late)?["error"] == "not_delivered" && data(late)?["reason"] == "starting" && data(late)?["retry_after"] == 5, "\(late.text)")
            #expect(late.headers.contains { $0.lowercased() == "retry-after: 5" }, "\(late.headers)")
            #expect(fixture.calls().last?.outcome == .error)
            // What was begun for it serves the next one.
            fixture.support.state.withLockedValue { $0.isHeld = false }
            let isServed = await eventually { (try? await fixture.call("echo"))?.content == "boot1" }
            #expect(isServed && fixture.support.state.withLockedValue { $0.starts } == 1)
        }
    }

    @Test func theQueueOfAConnectorIsBounded() async throws {
        try await DataPathFixture.with(DataPathFixture.settings { $0.wakeQueue = 2 }) { (fixture) async throws in
            fixture.support.state.withLockedValue { $0.isHeld = true }
            let first = Task { try await fixture.call("echo") }
            let second = Task { try await fixture.call("echo", token: "bob", slug: "other") }
            #expect(await eventually { fixture.support.state.withLockedValue { $0.starts } == 2 })
            let third = try await fixture.call("echo", token: "carol")
            #expect(data(third)?["reason"] == "queue_full" && data(third)?["error"] == "not_delivered", "\(third.text)")
            fixture.support.state.withLockedValue { $0.isHeld = false }
            for call in [first, second] { #expect(try await call.value.content == "boot1") }
            // There is room again.
            #expect(try await fixture.call("echo", token: "carol").content == "boot1")
        }
    }
}

/// What the control plane says, as a caller hears it.
struct MachineRefusalTests {
    @Test(arguments: [
        (0, "", "orchestrator_unavailable"), (404, "not_found", "unknown_machine"), (408, "timeout", "starting"), (409, "lease_held", "leased"),
        (503, "going_down", "going_down"), (400, "unreachable_state", "stopped"), (400, "replaced", "replaced"), (500, "internal", nil),
    ]) func codes(_ status: Int, _ code: String, _ told: String?) {
        let secret = "sha256:0123 on host-7"
        let refusal = NoMachine(explaining: MachineAPIError(status: status, code: code, message: secret))
        #expect(refusal.code == told && !refusal.text.contains("host-7"))
    }
}
