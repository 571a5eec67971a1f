import Foundation
import TestSupport
import Testing

/// Sessions keep what is theirs, whatever happens around them.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct CountingTests {
    /// One session of one person, whose server counts its calls.
    private actor Counter {
        let name: String
        private let call: @Sendable () async throws -> RawClient.Answer
        private var count = 0
        private(set) var pid = ""

        init(_ name: String, _ call: @escaping @Sendable () async throws -> RawClient.Answer) {
            self.name = name
            self.call = call
        }

        /// Calls so often, one after the other: each answer is one more than the last, of the same process.
        func go(_ calls: Int) async throws {
            for _ in 0..<calls {
                let answer = try await call()
                let words = (answer.text ?? "").split(separator: " ").map(String.init)
                guard words.count == 2 else { throw Trouble("\(name) after \(count): \(answer.status) \(answer.json)") }
                if pid.isEmpty { pid = words[1] }
                guard words == ["\(count + 1)", pid] else { throw Trouble("\(name): \(count) of \(pid), then \(words)") }
                count += 1
            }
        }
    }

    private func machines(_ berth: Berth) async throws -> [[String: Any]] {
        let all = try await berth.json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
        return all.filter { $0["state"] as? String != "destroyed" }
    }

    private func generations(_ berth: Berth) async throws -> [String: Int] {
        try await machines(berth).filter { $0["state"] as? String == "started" }.reduce(into: [:]) { counts, machine in
            let metadata = (machine["config"] as? [String: Any])?["metadata"] as? [String: String]
            counts[metadata?["berth_generation"] ?? "?", default: 0] += 1
        }
    }

    /// Three machines of one server, sessions of both eras of two people, a thousand calls: through an update that lets sessions stay, an
    /// orchestrator that dies, and the death of every process of Berth's outside the machines.
    @Test func everySessionKeepsItsOwnCount() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("fixture", fixture: "fixture.py", ["--min", "3", "--max", "3", "--drain", "1h"])
            try await berth.json(["vmcp", "create", "office", "fixture"])
            let areUp = await eventually { (try? await generations(berth)) == ["1": 3] }
            #expect(areUp, "\(berth.log)")

            var counters: [Counter] = []
            for name in ["alice", "bob"] {
                let token = try await berth.token(for: name, vmcp: "office")
                let client = RawClient(url: token.url, token: token.token)
                let session = try await LegacySession.open(client)
                counters.append(Counter("\(name), legacy") { try await session.send("tools/call", ["name": "count", "arguments": [:] as [String: String]]) })
                counters.append(Counter("\(name), modern") { try await client.call("count") })
            }
            func calls(_ number: Int, while body: (@Sendable () async throws -> Void)? = nil) async throws {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for counter in counters { group.addTask { try await counter.go(number) } }
                    if let body { group.addTask { try await body() } }
                    try await group.waitForAll()
                }
            }
            try await calls(50)
            var pids: Set<String> = []
            for counter in counters { pids.insert(await counter.pid) }
            #expect(pids.count >= 2, "in a machine of three, each pid is its own: \(pids)")

            try await calls(60) {
                let update = try await berth.run(["connector", "update", "fixture", "--env", "LEVEL=1"])
                #expect(update.status == 0 && update.output.contains("open sessions stay"), "\(update.output) \(update.errors) \(berth.log)")
            }
            // Whoever comes now is served by the new version, of which there are three; machines without sessions have gone.
            let carol = try await berth.token(for: "carol", vmcp: "office")
            let identity = try await RawClient(url: carol.url, token: carol.token).call("identity").text ?? ""
            #expect(identity.contains(#""LEVEL": "1""#), "\(identity)")
            let areThere = await eventually { ((try? await generations(berth)) ?? [:])["2"] == 3 }
            #expect(areThere, "\(berth.log)")
            let cordoned = try await machines(berth).filter { $0["cordoned"] as? Bool == true }
            #expect((1...3).contains(cordoned.count))

            try await calls(60) { kill(try berth.pid(of: "orchestrator"), SIGKILL) }
            let isBack = await eventually { (try? await machines(berth)) != nil }
            #expect(isBack)

            for name in ["supervise", "orchestrator", "gateway"] { if let pid = try? berth.pid(of: name) { kill(pid, SIGKILL) } }
            _ = await eventually { (try? berth.pid(of: "gateway")) == nil && (try? berth.pid(of: "orchestrator")) == nil }
            try await berth.up()
            try await calls(80)

            // Their time is over when an admin says so: the sessions go on in new processes, and are told.
            let end = try await berth.run(["connector", "update", "fixture", "--env", "LEVEL=2", "--drain", "off"])
            #expect(end.status == 0, "\(end.errors)")
            let areNew = await eventually { (try? await generations(berth))?.keys.sorted() == ["3"] }
            #expect(areNew, "\(berth.log)")
            let alice = try await berth.token(for: "alice", vmcp: "office")
            #expect(try await RawClient(url: alice.url, token: alice.token).call("count").text?.hasPrefix("1 ") == true)
        }
    }
}
