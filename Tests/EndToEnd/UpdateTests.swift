import Foundation
import Synchronization
import TestSupport
import Testing

/// A connector changes while people use it.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct UpdateTests {
    private final class Flag: Sendable { let isSet = Atomic(false) }

    @Test func noCallFailsWhileAConnectorIsUpdated() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("fixture", fixture: "fixture.py", ["--env", "LEVEL=0"])
            try await berth.json(["vmcp", "create", "office", "fixture"])
            var clients: [RawClient] = []
            for name in ["alice", "bob", "carol"] {
                let token = try await berth.token(for: name, vmcp: "office")
                clients.append(RawClient(url: token.url, token: token.token))
            }
            let answers = try await answers(to: clients) {
                for level in 1...3 {
                    let update = try await berth.run(["connector", "update", "fixture", "--env", "LEVEL=\(level)"])
                    #expect(update.status == 0, "\(update.errors) \(berth.log)")
                }
            }
            for answer in answers where answer.text == nil { Issue.record("a call failed: \(answer.json)") }
            let text = try await clients[0].call("identity").text ?? ""
            let identity = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
            #expect((identity?["environment"] as? [String: String])?["LEVEL"] == "3")
            let rows = try await berth.audit().filter { $0["method"] as? String == "tools/call" }
            #expect(rows.count > answers.count && rows.allSatisfy { $0["outcome"] as? String == "allowed" })
            let machines = try await berth.json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
            #expect(machines.filter { $0["state"] as? String != "destroyed" }.count == 1, "\(machines)")
        }
    }

    /// What an update gave, another takes away, and a variable moves into a secret.
    @Test func whatIsNotNeededIsTakenAway() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("fixture", fixture: "fixture.py", ["--env", "LEVEL=0", "--env", "Q=clear", "--arg", "x"])
            func shown(_ arguments: [String], input: String? = nil) async throws -> [String: Any] {
                let update = try await berth.run(["connector", "update", "fixture"] + arguments, input: input)
                #expect(update.status == 0 && !update.output.contains("Resolving"), "\(update.output) \(update.errors)")
                return try await berth.json(["connector", "show", "fixture"])
            }
            let moved = try await shown(["--secret", "Q"], input: "hidden\n")
            #expect(moved["env"] as? [String: String] == ["LEVEL": "0"] && moved["secrets"] as? [String] == ["Q"], "\(moved)")
            let bare = try await shown(["--drop-env", "LEVEL", "--no-args", "--drop-secret", "Q"])
            #expect(bare["env"] as? [String: String] == [:] && bare["secrets"] as? [String] == [], "\(bare)")
            #expect((bare["args"] as? [String] ?? []).isEmpty && bare["command"] as? [String] == ["/usr/bin/python3", "server.py"], "\(bare)")
        }
    }

    /// Everybody calls in a loop while `body` runs, the first one something that takes a while.
    private func answers(to clients: [RawClient], while body: () async throws -> Void) async throws -> [RawClient.Answer] {
        let flag = Flag()
        return try await withThrowingTaskGroup(of: [RawClient.Answer].self) { group in
            for (number, client) in clients.enumerated() {
                group.addTask {
                    var answers: [RawClient.Answer] = []
                    while !flag.isSet.load(ordering: .relaxed), !Task.isCancelled {
                        answers.append(try await number == 0 ? client.call("wait", ["seconds": 2]) : client.call("identity"))
                    }
                    return answers
                }
            }
            try await body()
            flag.isSet.store(true, ordering: .relaxed)
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }
}
