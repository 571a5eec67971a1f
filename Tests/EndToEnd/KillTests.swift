import Foundation
import TestSupport
import Testing

/// Whatever is killed, the next call works, machines that lived on are adopted, nothing is orphaned.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct KillTests {
    @Test func everyProcessMayDie() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("fixture", fixture: "fixture.py")
            try await berth.json(["vmcp", "create", "office", "fixture"])
            let alice = try await berth.token(for: "alice", vmcp: "office")
            let client = RawClient(url: alice.url, token: alice.token)
            func answers(_ what: String, _ location: SourceLocation = #_sourceLocation) async throws {
                let works = await eventually {
                    (try? await client.call("echo", ["text": what], seconds: 30))?.text?.contains(what) == true
                }
                #expect(works, "after \(what): \(berth.log)", sourceLocation: location)
            }
            try await answers("start")
            let first = try await berth.machine()

            _ = try? await client.call("crash", [:], seconds: 120)
            // The machine is up, and its connector says what of it is not.
            let isTold = await eventually {
                (try? await berth.run(["connector", "show", "fixture"]))?.output.contains("1 crashed (the server exited with status 3)") == true
            }
            let shown = try await berth.run(["connector", "show", "fixture"])
            #expect(isTold, "\(shown)")
            try await answers("the child died")
            #expect(try await berth.machine() == first, "a child's death is not the machine's")

            kill(try berth.pid(of: "gateway"), SIGKILL)
            try await answers("the gateway died")
            kill(try berth.pid(of: "orchestrator"), SIGKILL)
            try await answers("the orchestrator died")
            let adopted = await eventually { (try? await berth.machine()) == first }
            #expect(adopted, "the machine was adopted: same id and boot")

            for name in ["supervise", "orchestrator", "gateway"] { if let pid = try? berth.pid(of: name) { kill(pid, SIGKILL) } }
            _ = await eventually { (try? berth.pid(of: "gateway")) == nil && (try? berth.pid(of: "orchestrator")) == nil }
            try await berth.up()
            try await answers("all of Berth died")
            #expect(try await berth.machine() == first, "the machine that lived on was adopted with its boot")

            kill(try agent(berth), SIGKILL)
            try await answers("the agent died")
            let second = try await berth.machine()
            #expect(second.boot != first.boot, "a new boot")
        }
    }

    /// The gateway dies between delivery and answer: the call still has its one row, which says that nobody knows.
    @Test func aCallThatLostItsGateway() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("fixture", fixture: "fixture.py")
            try await berth.json(["vmcp", "create", "office", "fixture"])
            let alice = try await berth.token(for: "alice", vmcp: "office")
            let client = RawClient(url: alice.url, token: alice.token)
            #expect(try await client.call("echo", ["text": "before"]).text == "before")
            let marker = "/tmp/begun"
            async let lost: RawClient.Answer? = try? client.call("mark_and_wait", ["path": marker, "seconds": 60], seconds: 120)
            let begun = await eventually { (try? await client.call("read_file", ["path": marker], seconds: 20))?.text == "begun" }
            #expect(begun)
            kill(try berth.pid(of: "gateway"), SIGKILL)
            #expect(await lost == nil)
            let told = await eventually {
                (try? await berth.audit())?.contains { $0["tool"] as? String == "mark_and_wait" && $0["outcome"] as? String == "unknown" } == true
            }
            #expect(told, "\(berth.log)")
            // Every call has one row, and a second restart writes no second one.
            kill(try berth.pid(of: "gateway"), SIGKILL)
            let again = await eventually { (try? await client.call("echo", ["text": "after"], seconds: 20))?.text == "after" }
            #expect(again)
            let rows = try await berth.audit().filter { $0["method"] as? String == "tools/call" }
            let calls = rows.compactMap { $0["call"] as? String }
            #expect(Set(calls).count == calls.count, "\(rows)")
            let waited = rows.filter { $0["tool"] as? String == "mark_and_wait" }
            #expect(waited.count == 1 && waited.first?["principal"] as? String == "alice", "\(waited)")
            let verified = try await berth.run(["audit", "verify"])
            #expect(verified.status == 0 && verified.output.contains("every hash holds") && verified.output.contains("  last hash "), "\(verified)")
        }
    }

    /// The agent is the one process of its machine whose parent is not in the machine; found by its cgroup.
    private func agent(_ berth: Berth) throws -> pid_t {
        for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
            guard let pid = pid_t(entry), let line = try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8) else { continue }
            let words = line.split(separator: "\0").map(String.init)
            guard words.count == 2, words[0].hasSuffix("berth-agent"), words[1] == "agent" else { continue }
            let cgroup = (try? String(contentsOfFile: "/proc/\(pid)/cgroup", encoding: .utf8)) ?? ""
            if cgroup.contains(try berth.key) { return pid }
        }
        throw Trouble("no agent")
    }
}
