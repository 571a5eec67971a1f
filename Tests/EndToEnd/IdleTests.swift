import Foundation
import TestSupport
import Testing

/// Machines that nobody calls: stopped or suspended by themselves, and never under a call.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct IdleTests {
    private func states(_ berth: Berth) async throws -> [String] {
        let machines = try await berth.json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
        return machines.compactMap { $0["state"] as? String }
    }

    private func ready(_ berth: Berth, _ options: [String]) async throws -> RawClient {
        try await berth.up()
        try await berth.add("fixture", fixture: "fixture.py", options)
        try await berth.json(["vmcp", "create", "office", "fixture"])
        let alice = try await berth.token(for: "alice", vmcp: "office")
        return RawClient(url: alice.url, token: alice.token)
    }

    private func autostops(_ berth: Berth) async throws -> [[String: Any]] {
        let events = try await berth.json(["machines", "events", "fixture"])["events"] as? [[String: Any]] ?? []
        return events.filter { $0["type"] as? String == "autostop" }
    }

    /// Stopped through a restart of both processes too; the next call of its session is served, and told that the process is new.
    @Test func anIdleMachineIsStopped() async throws {
        try await Berth.run { berth in
            let client = try await ready(berth, ["--idle", "3s"])
            let session = try await LegacySession.open(client)
            let first = try await session.send("tools/call", ["name": "echo", "arguments": ["text": "one"]])
            #expect(first.text == "one", "\(first.json) \(berth.log)")
            for name in ["orchestrator", "gateway"] { kill(try berth.pid(of: name), SIGKILL) }
            let isStopped = await eventually { (try? await states(berth)) == ["stopped"] }
            #expect(isStopped, "\(berth.log)")
            #expect(try await autostops(berth).contains { $0["reason"] as? String == "nobody called it for 3 s" })

            let second = try await session.send("tools/call", ["name": "echo", "arguments": ["text": "two"]])
            #expect(second.text == "two", "\(second.json) \(berth.log)")
            let meta = (second.json["result"] as? [String: Any])?["_meta"] as? [String: Any]
            #expect(meta?["berth/restarted"] != nil, "\(second.json)")
            let shown = try await berth.run(["connector", "show", "fixture"])
            #expect(shown.output.contains("stopped after 3s without a call"), "\(shown.output)")
            let off = try await berth.run(["connector", "update", "fixture", "--idle", "off"])
            #expect(off.status == 0, "\(off.errors)")
            let without = try await berth.run(["connector", "show", "fixture"])
            #expect(!without.output.contains("without a call"), "\(without.output)")
        }
    }

    /// A session's process is the same before and after, and a call that takes longer than the idle time ends in order.
    @Test func anIdleMachineIsSuspended() async throws {
        try await Berth.run { berth in
            let client = try await ready(berth, ["--idle", "2s", "--idle-action", "suspend"])
            let slow = try await client.call("wait", ["seconds": 4])
            #expect(slow.status == 200 && slow.json["result"] != nil, "\(slow.json)")
            #expect(try await autostops(berth).filter { $0["status"] as? String == "suspended" }.isEmpty)
            let before = try await client.call("identity").text
            let isSuspended = await eventually { (try? await states(berth)) == ["suspended"] }
            #expect(isSuspended, "\(berth.log)")
            let after = try await client.call("identity")
            #expect(after.text == before, "\(after.json)")
            let meta = (after.json["result"] as? [String: Any])?["_meta"] as? [String: Any]
            #expect(meta?["berth/restarted"] == nil)
        }
    }

    /// Calls that come just when their machine is to be stopped or suspended.
    @Test(arguments: ["stop", "suspend"]) func noCallIsLostInTheRace(_ action: String) async throws {
        try await Berth.run { berth in
            let client = try await ready(berth, ["--idle", "1s", "--idle-action", action])
            for number in 1...24 {
                // Around the moment at which the second is over.
                try await Task.sleep(for: .milliseconds(900 + 15 * number))
                let answer = try await client.call("echo", ["text": "\(number)"])
                #expect(answer.text == "\(number)", "\(number): \(answer.json) \(berth.log)")
            }
            #expect(try await !autostops(berth).isEmpty)
            let rows = try await berth.audit().filter { $0["method"] as? String == "tools/call" }
            #expect(rows.count == 24 && rows.allSatisfy { $0["outcome"] as? String == "allowed" })
        }
    }
}
