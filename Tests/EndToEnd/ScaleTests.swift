import Foundation
import TestSupport
import Testing

/// `--min` and `--max`: several machines of one connector.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct ScaleTests {
    private func machines(_ berth: Berth) async throws -> [[String: Any]] {
        let all = try await berth.json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
        return all.filter { $0["state"] as? String != "destroyed" }
    }

    private func count(_ berth: Berth, _ state: String) async -> Int {
        ((try? await machines(berth)) ?? []).count { $0["state"] as? String == state }
    }

    private func ready(_ berth: Berth, _ options: [String], _ names: [String]) async throws -> [RawClient] {
        try await berth.up()
        try await berth.add("fixture", fixture: "fixture.py", options)
        try await berth.json(["vmcp", "create", "office", "fixture"])
        var clients: [RawClient] = []
        for name in names {
            let token = try await berth.token(for: name, vmcp: "office")
            clients.append(RawClient(url: token.url, token: token.token))
        }
        return clients
    }

    /// Two run, and go on to: after a stop, a destroy, a crash of everything, and while nobody calls.
    @Test func asManyStayAsAreToRun() async throws {
        try await Berth.run { berth in
            let clients = try await ready(berth, ["--min", "2", "--max", "3", "--idle", "2s"], ["alice"])
            let isUp = await eventually { await count(berth, "started") == 2 }
            #expect(isUp, "\(berth.log)")
            let first = try #require(try await machines(berth).first?["id"] as? String)
            try await berth.json(["machines", "stop", first])
            let isBack = await eventually { await count(berth, "started") == 2 }
            #expect(isBack, "\(berth.log)")
            try await berth.json(["machines", "destroy", first, "--force"])
            let isMade = await eventually { await count(berth, "started") == 2 }
            #expect(isMade, "\(berth.log)")
            for name in ["orchestrator", "gateway"] { kill(try berth.pid(of: name), SIGKILL) }
            let isThere = await eventually { await count(berth, "started") == 2 }
            #expect(isThere)
            let answer = await eventually { (try? await clients[0].call("echo", ["text": "x"], seconds: 30))?.text == "x" }
            #expect(answer)
            let shown = try await berth.run(["connector", "show", "fixture"])
            #expect(shown.output.contains("shared by everybody; 2 kept started, 3 at most"), "\(shown.output)")
        }
    }

    /// A machine that holds one session: each principal's makes one more, up to the bound; then the bound is taken down.
    @Test func sessionsSpreadAndTheBoundHolds() async throws {
        try await Berth.run { berth in
            let clients = try await ready(berth, ["--max", "2", "--pids", "32"], ["alice", "bob", "carol"])
            func pinned(_ client: RawClient) async throws -> String? {
                let answer = try await client.call("echo", ["text": "x"])
                #expect(answer.text == "x", "\(answer.json) \(berth.log)")
                return try await berth.audit().last { $0["method"] as? String == "tools/call" }?["machine"] as? String
            }
            let alices = try await pinned(clients[0])
            let bobs = try await pinned(clients[1])
            #expect(alices != nil && bobs != nil && alices != bobs)
            #expect(await count(berth, "started") == 2)
            let carols = try await pinned(clients[2])
            #expect(carols == alices || carols == bobs)
            #expect(await count(berth, "started") == 2)

            let update = try await berth.run(["connector", "update", "fixture", "--max", "1"])
            #expect(update.status == 0, "\(update.errors)")
            let isCordoned = await eventually { ((try? await machines(berth)) ?? []).contains { $0["cordoned"] as? Bool == true } }
            #expect(isCordoned, "its sessions are there: it gets no new ones")
            for client in clients { #expect(try await client.call("echo", ["text": "on"]).text == "on") }
        }
    }
}
