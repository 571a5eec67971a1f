import Door
import JSONText
import TestSupport
import Testing

/// A machine that is one principal's takes nobody else's call, whatever the gateway believes.
@Suite(.enabled(if: AgentRig.isPossible)) struct OwnerTests {
    @Test func anothersCallIsRefused() async throws {
        try await AgentRig.with(owner: "ann") { rig in
            #expect(try await rig.call("echo", #"{"text":"a"}"#, session: "a", principal: "ann").status == 200)
            for principal in ["bob", "ann ", "Ann", DoorPrincipal.prober, "berth:orchestrator"] {
                let answer = try await rig.call("echo", #"{"text":"b"}"#, session: "b", principal: principal)
                #expect(answer.status == 403 && answer.json?["error"] == "session_principal", "\(principal)")
            }
            // Berth's own looks are no calls.
            #expect(try await rig.request("GET", "/stats", principal: "berth:orchestrator").status == 200)
            #expect(try await rig.request("GET", "/sessions").json?["sessions"]?.arrayValue?.count == 1)
        }
    }
}
