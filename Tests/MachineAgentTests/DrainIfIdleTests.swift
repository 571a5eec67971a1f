import Door
import JSONText
import NIOCore
import TestSupport
import Testing

@testable import MachineAgent

/// What an agent says of its use, and a drain that only an idle machine takes.
struct DoorUseTests {
    @Test func countsRequestsAndTheTimeSinceTheLast() {
        let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var use = DoorUse(now: begin)
        #expect(use.idle(now: begin + .seconds(5), isWaiting: false) == .seconds(5))
        use.begin()
        use.begin()
        #expect(use.idle(now: begin + .seconds(9), isWaiting: false) == nil)
        use.end(now: begin + .seconds(10))
        #expect(use.idle(now: begin + .seconds(11), isWaiting: false) == nil && use.open == 1)
        use.end(now: begin + .seconds(12))
        #expect(use.idle(now: begin + .seconds(15), isWaiting: false) == .seconds(3))
        #expect(use.idle(now: begin + .seconds(15), isWaiting: true) == nil, "a client is being asked")
    }

    /// Whoever closed it died, or was refused what was to follow.
    @Test func whatIsClosedAndForgottenOpensAgain() {
        let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var use = DoorUse(now: begin)
        #expect(!use.isClosed(now: begin))
        use.close(now: begin)
        #expect(use.isClosed(now: begin + .seconds(59)) && !use.isClosed(now: begin + .seconds(60)))
        use.close(now: begin + .seconds(50))
        #expect(use.isClosed(now: begin + .seconds(109)) && !use.isClosed(now: begin + .seconds(110)))
    }
}

@Suite(.enabled(if: AgentRig.isPossible)) struct DrainIfIdleTests {
    private func drain(_ rig: AgentRig, _ milliseconds: String) async throws -> (status: Int, error: String?) {
        let answer = try await rig.request("POST", "/drain", headers: [(DoorHeaders.ifIdle, milliseconds)])
        return (answer.status, answer.json?["error"]?.stringValue)
    }

    @Test func onlyAnIdleMachineDrains() async throws {
        try await AgentRig.with { rig in
            let task = Task { try await rig.call("wait", #"{"seconds":60}"#, session: "a") }
            try await eventually("the call is under way") { try await rig.request("GET", "/stats").json?["open"] == 1 }
            #expect(try await rig.request("GET", "/stats").json?["idle_ms"] == .null)
            var refusal = try await drain(rig, "0")
            #expect(refusal.status == 409 && refusal.error == DoorErrorCode.inUse)
            task.cancel()
            try await eventually("nobody calls") { try await rig.request("GET", "/stats").json?["idle_ms"]?.intValue != nil }
            refusal = try await drain(rig, "3600000")
            #expect(refusal.status == 409)
            // Refused, it serves on.
            #expect(try await rig.call("echo", #"{"text":"on"}"#, session: "a").status == 200)
            for bad in ["-1", "x", ""] { #expect(try await drain(rig, bad).status == 400, "\(bad)") }
            #expect(try await drain(rig, "0").status == 202)
            let late = try await rig.call("echo", #"{"text":"late"}"#, session: "a")
            #expect(late.status == 503 && late.json?["error"] == .string(DoorErrorCode.draining))
            // Asked again it says yes again: an orchestrator that comes back does not know that it was.
            #expect(try await drain(rig, "3600000").status == 202)
        }
    }
}
