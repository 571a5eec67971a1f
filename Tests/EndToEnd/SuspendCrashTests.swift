import Foundation
import TestSupport
import Testing

/// The orchestrator ends in the middle of freezing or waking a machine: the next one brings it to its end.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct SuspendCrashTests {
    @Test(arguments: [("freeze.before", "suspended"), ("freeze.after", "suspended"), ("thaw.before", "started")])
    func failpoint(_ name: String, _ state: String) async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("fixture", fixture: "fixture.py")
            try await berth.json(["vmcp", "create", "office", "fixture"])
            let alice = try await berth.token(for: "alice", vmcp: "office")
            let client = RawClient(url: alice.url, token: alice.token)
            #expect(try await berth.run(["down"]).status == 0)
            _ = try await berth.run(
                ["up", "--listen", "127.0.0.1:\(berth.port)", "--detach", "--json"], environment: ["BERTH_FAILPOINT": name], seconds: 120)
            let isUp = await eventually { (try? await berth.machine()) != nil }
            #expect(isUp, "\(berth.log)")
            let machine = try await berth.machine()
            _ = try? await berth.run(["machines", "suspend", "fixture"], seconds: 60)
            if name.hasPrefix("thaw") { _ = try? await berth.run(["machines", "start", "fixture"], seconds: 60) }
            // Dead by its own hand at that point: a name that nobody comes by proves nothing.
            let died = await eventually {
                let log = berth.wholeLog
                return log.contains("failpoint \(name)\n") && log.contains("orchestrator ended (signal 9)")
            }
            #expect(died, "\(name): \(berth.log)")
            for process in ["supervise", "orchestrator", "gateway"] { if let pid = try? berth.pid(of: process) { kill(pid, SIGKILL) } }
            _ = await eventually { (try? berth.pid(of: "orchestrator")) == nil && (try? berth.pid(of: "gateway")) == nil }

            try await berth.up()
            let isAsWanted = await eventually {
                let machines = try? await berth.json(["machines", "list"])["machines"] as? [[String: Any]]
                return machines?.first?["state"] as? String == state
            }
            #expect(isAsWanted, "\(name): \(berth.log)")
            let answers = await eventually { (try? await client.call("echo", ["text": "on"], seconds: 30))?.text == "on" }
            #expect(answers, "\(name): \(berth.log)")
            #expect(try await berth.machine() == machine, "the same boot: \(berth.log)")
        }
    }
}
