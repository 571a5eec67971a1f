import Foundation
import TestSupport
import Testing

/// `--isolation principal`: what two sessions of one machine share, two principals do not.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct PrincipalMachineTests {
    private func machines(_ berth: Berth) async throws -> [[String: Any]] {
        let all = try await berth.json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
        return all.filter { $0["state"] as? String != "destroyed" }
    }

    private func owner(_ machine: [String: Any]) -> String? {
        ((machine["config"] as? [String: Any])?["metadata"] as? [String: String])?["berth_principal"]
    }

    private func ready(_ berth: Berth, _ options: [String], _ names: [String]) async throws -> [(id: String, client: RawClient)] {
        try await berth.up()
        let folder = (berth.state as NSString).deletingLastPathComponent + "/runs-code"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in ["runs_code.py", "fixture.py"] {
            try FileManager.default.copyItem(atPath: Repository.fixture(name), toPath: "\(folder)/\(name)")
        }
        let added = try await berth.run(
            ["connector", "add", "fixture", "--dir", folder] + options + ["--", "/usr/bin/python3", "runs_code.py"])
        guard added.status == 0 else { throw Trouble("\(added.output) \(added.errors) \(berth.log)") }
        try await berth.json(["vmcp", "create", "office", "fixture"])
        var clients: [(String, RawClient)] = []
        for name in names {
            let token = try await berth.token(for: name, vmcp: "office")
            clients.append((token.id, RawClient(url: token.url, token: token.token)))
        }
        return clients
    }

    /// Leaves a listener on a port and on a name, a file name in `/tmp`, and much of the machine's memory and `/tmp`.
    private static let bait = """
        import socket
        tcp = socket.socket(); tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); tcp.bind(("127.0.0.1", 4711)); tcp.listen(5)
        name = socket.socket(socket.AF_UNIX); name.bind("\\0berth-bait"); name.listen(5)
        open("/tmp/bait", "w").write("x" * (8 << 20))
        answer = "set"
        """
    /// What another session finds of it.
    private static let attack = """
        import os, socket
        found = []
        for family, place, word in ((socket.AF_INET, ("127.0.0.1", 4711), "port"), (socket.AF_UNIX, "\\0berth-bait", "name")):
            try:
                s = socket.socket(family); s.settimeout(5); s.connect(place); found.append(word)
            except OSError:
                pass
        if "bait" in os.listdir("/tmp"): found.append("file")
        st = os.statvfs("/tmp")
        if (st.f_blocks - st.f_bfree) * st.f_frsize >= 8 << 20: found.append("room")
        answer = " ".join(found)
        """

    private func attack(_ clients: [(id: String, client: RawClient)]) async throws -> String? {
        let set = try await clients[0].client.call("run", ["code": Self.bait])
        #expect(set.text == "set", "\(set.json)")
        let found = try await clients[1].client.call("run", ["code": Self.attack])
        return found.text
    }

    /// The control: it is all there for another session of the same machine.
    @Test func inASharedMachineItIsThere() async throws {
        try await Berth.run { berth in
            let clients = try await ready(berth, [], ["alice", "bob"])
            #expect(try await attack(clients) == "port name file room", "\(berth.log)")
        }
    }

    @Test func inMachinesOfTheirOwnThereIsNothingOfIt() async throws {
        try await Berth.run { berth in
            let clients = try await ready(berth, ["--isolation", "principal"], ["alice", "bob"])
            #expect(try await machines(berth).isEmpty, "the probe's machine is nobody's")
            let found = try await attack(clients)
            #expect(found == "", "\(found ?? "none") \(berth.log)")
            let list = try await machines(berth)
            #expect(Set(list.compactMap(owner)) == ["alice", "bob"] && list.count == 2, "\(list)")
            let shown = try await berth.run(["connector", "show", "fixture"])
            #expect(shown.output.contains("a machine for each principal, 16 at most") && shown.output.contains("stopped after 15m"), "\(shown.output)")

            // A second session of the same principal is in the same machine.
            let session = try await LegacySession.open(clients[0].client)
            let own = try await session.send("tools/call", ["name": "run", "arguments": ["code": Self.attack]])
            #expect(own.text?.contains("port") == true, "\(own.json)")

            // Whose token is revoked loses it, and the other does not.
            try await berth.json(["token", "revoke", clients[0].id])
            let isGone = await eventually { (try? await machines(berth).compactMap(owner)) == ["bob"] }
            #expect(isGone, "\(berth.log)")
            #expect(try await clients[1].client.call("run", ["code": "answer = tcp is None if 'tcp' in globals() else 'own'"]).text == "own")
        }
    }

    /// As many as there may be, all in use: the call is refused as not delivered, with a time. The idle one gives way.
    @Test func pastTheBoundACallIsRefusedInOrder() async throws {
        try await Berth.run { berth in
            let clients = try await ready(berth, ["--isolation", "principal", "--max", "1"], ["alice", "bob"])
            #expect(try await clients[0].client.call("run", ["code": "answer = 'a'"]).text == "a")
            let refused = try await clients[1].client.call("run", ["code": "answer = 'b'"])
            let data = (refused.json["error"] as? [String: Any])?["data"] as? [String: Any]
            #expect(data?["error"] as? String == "not_delivered" && data?["reason"] as? String == "at_capacity", "\(refused.json)")
            #expect((1...60).contains(data?["retry_after"] as? Int ?? 0))
            #expect(try await machines(berth).compactMap(owner) == ["alice"])
            try await berth.json(["machines", "stop", "fixture"])
            #expect(try await clients[1].client.call("run", ["code": "answer = 'b'"]).text == "b")
            #expect(try await machines(berth).compactMap(owner) == ["bob"])
        }
    }
}
