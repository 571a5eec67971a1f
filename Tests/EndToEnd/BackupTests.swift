import Foundation
import TestSupport
import Testing

/// `berth backup` and `berth restore`, with everything real.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct BackupTests {
    /// A Berth with a connector that has a secret, a virtual MCP and a token, which has been called.
    private static func filled(_ berth: Berth) async throws -> (id: String, url: String, token: String) {
        try await berth.up()
        let folder = (berth.state as NSString).deletingLastPathComponent
        try writeFile("hidden-\(UUID().uuidString)\n", to: folder + "/secret")
        // As deep as a folder may be.
        try writeFile("deep", to: folder + "/fixture-source/" + String(repeating: "d/", count: 62) + "file")
        try await berth.add("fixture", fixture: "fixture.py", ["--secret", "KEY=@\(folder)/secret"])
        try await berth.json(["vmcp", "create", "office", "fixture"])
        let alice = try await berth.token(for: "alice", vmcp: "office")
        #expect(try await RawClient(url: alice.url, token: alice.token).call("echo", ["text": "before"]).text == "before")
        return alice
    }

    /// The environment that the connector's process sees, as it says itself.
    private static func key(_ client: RawClient) async throws -> String {
        let text = try await client.call("identity").text ?? ""
        let identity = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        return (identity?["environment"] as? [String: String])?["KEY"] ?? ""
    }

    /// Made while it runs, restored elsewhere and into its old place: clients, secrets, audit log and machines are as they were.
    @Test func aStateComesBackWhole() async throws {
        let other = try Berth()
        try await Berth.run { berth in
            let alice = try await Self.filled(berth)
            let client = RawClient(url: alice.url, token: alice.token)
            let key = try await Self.key(client)
            #expect(key.hasPrefix("hidden-"))
            let file = (berth.state as NSString).deletingLastPathComponent + "/berth.backup"
            let made = try await berth.json(["backup", file])
            #expect(made["images"] as? Int == 1 && made["connectors"] as? [String] == ["fixture"], "\(made)")
            var info = stat()
            #expect(stat(file, &info) == 0 && info.st_mode & 0o7777 == 0o600)
            #expect(try await client.call("echo", ["text": "after"]).text == "after", "it runs on")
            // Whoever it is piped to may end: so does it, and what it had started.
            let cut = "\(Repository.binary("berth")) backup - --state \(berth.state) | head -c 1 > /dev/null; echo over"
            #expect(try await Command.run(["/bin/sh", "-c", cut], seconds: 120).output == "over\n")
            let isOver = await eventually { (try? await Command.run(["/usr/bin/pgrep", "-f", "state-part pack .*\(berth.state)"]))?.status == 1 }
            #expect(isOver)
            // Nothing of it can be read without its keys but what is no secret.
            let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
            #expect(bytes.range(of: Data(key.utf8)) == nil && bytes.range(of: Data(alice.token.utf8)) == nil)
            let tar = try await Command.run(["/bin/tar", "-tf", file])
            #expect(tar.status == 0 && !tar.output.contains("audit.db") && tar.output.contains("gateway/audit/loop0-000001.rows"), "\(tar)")
            let verified = try await berth.json(["restore", file, "--verify"])
            #expect((verified["gateway"] as? [String: Any])?["secrets"] as? Int == 1, "\(verified)")
            try await berth.refuses([
                BadInput("backup", file, code: 64, says: "\(file) is there already — a backup takes no other file's place: remove it, or name another"),
                BadInput("restore", file, says: "a Berth (or another command) uses the state *"),
            ])
            let piped = try await Command.run(
                ["/bin/sh", "-ec", "\"$0\" backup - --state \"$1\" | \"$0\" restore - --verify", Repository.binary("berth"), berth.state])
            #expect(piped.status == 0 && piped.output.contains("is whole"), "\(piped)")
            #expect(try await berth.run(["down"]).status == 0)

            // Elsewhere: other paths, other cgroups, another run directory.
            let elsewhere = try await other.run(["restore", file])
            #expect(elsewhere.status == 0, "\(elsewhere.output) \(elsewhere.errors)")
            try await Self.serves(other, alice, key)
            #expect(try await other.run(["down"]).status == 0)

            // In its old place, from which everything was taken away while its machine ran on.
            try await berth.up()
            #expect(try await client.call("echo", ["text": "again"]).text == "again")
            let machine = try await berth.machine()
            for process in ["supervise", "gateway", "orchestrator"] { if let pid = try? berth.pid(of: process) { kill(pid, SIGKILL) } }
            let hasEnded = await eventually { (try? berth.pid(of: "orchestrator")) == nil && (try? berth.pid(of: "gateway")) == nil }
            #expect(hasEnded)
            try FileManager.default.removeItem(atPath: berth.state)
            #expect(try await berth.run(["restore", file]).status == 0)
            try await Self.serves(berth, alice, key)
            #expect(try await berth.machine().machine == machine.machine)
        }
        await other.end()
    }

    /// After `up`, what a restored state must do.
    private static func serves(_ berth: Berth, _ alice: (id: String, url: String, token: String), _ key: String) async throws {
        try await berth.up()
        let client = RawClient(url: "\(berth.url)/v/office/mcp", token: alice.token)
        #expect(try await client.call("echo", ["text": "restored"]).text == "restored", "\(berth.log)")
        #expect(try await Self.key(client) == key)
        let rows = try await berth.audit()
        #expect(rows.contains { "\($0["arguments"] ?? "")".contains("before") } && rows.contains { "\($0["arguments"] ?? "")".contains("restored") })
        let verify = try await berth.run(["audit", "verify"])
        #expect(verify.status == 0, "\(verify.output) \(verify.errors)")
        _ = try await berth.machine()
        let clean = await eventually { (try? await berth.run(["doctor", "--leftovers", "--json"]))?.status == 0 }
        let left = try await berth.run(["doctor", "--leftovers"])
        #expect(clean, "\(left.output)")
        for (path, uid) in [("gateway", getpwnam("berth").pointee.pw_uid), ("gateway/keys", getpwnam("berth").pointee.pw_uid), ("orchestrator", 0), ("orchestrator/keys", 0)] {
            var info = stat()
            #expect(lstat(berth.state + "/" + path, &info) == 0 && info.st_uid == uid && info.st_mode & 0o077 == 0, "\(path)")
        }
    }

    /// Without images it says so, and what brings each connector back does.
    @Test func withoutImagesConnectorsAreBuiltAnew() async throws {
        let other = try Berth()
        try await Berth.run { berth in
            let alice = try await Self.filled(berth)
            #expect(try await berth.run(["down"]).status == 0)
            let file = (berth.state as NSString).deletingLastPathComponent + "/small.backup"
            let made = try await berth.run(["backup", file, "--no-images"])
            #expect(made.status == 0 && made.output.contains("berth connector update fixture --state \(berth.state) --dir DIR    (the folder fixture-source)"), "\(made)")
            let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
            #expect(size < 8 << 20, "\(size)")
            let restored = try await other.run(["restore", file])
            #expect(restored.status == 0 && restored.output.contains("berth connector update fixture --state \(other.state) --dir DIR"), "\(restored)")
            try await other.up()
            let folder = (berth.state as NSString).deletingLastPathComponent + "/fixture-source"
            let update = try await other.run(["connector", "update", "fixture", "--dir", folder, "--", "/usr/bin/python3", "server.py"])
            #expect(update.status == 0, "\(update.output) \(update.errors) \(other.log)")
            let client = RawClient(url: "\(other.url)/v/office/mcp", token: alice.token)
            #expect(try await client.call("echo", ["text": "built anew"]).text == "built anew", "\(other.log)")
        }
        await other.end()
    }

    /// Killed in the middle, a restore leaves nothing that `up` takes, and the next one begins anew.
    @Test func cutOffARestoreIsNothing() async throws {
        try await Berth.run { berth in
            let alice = try await Self.filled(berth)
            #expect(try await berth.run(["down"]).status == 0)
            let folder = (berth.state as NSString).deletingLastPathComponent
            let file = folder + "/berth.backup"
            #expect(try await berth.run(["backup", file]).status == 0)
            try FileManager.default.removeItem(atPath: berth.state)
            // All but the manifest comes through a pipe, so that everything is written and nothing is known to be whole.
            let pipe = folder + "/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
            let feeder = try Background(
                ["/bin/sh", "-ec", "exec 3> \(pipe); head -c \(size - 4_096) \(file) >&3; echo fed; exec sleep 3600"], in: folder)
            defer { feeder.end() }
            let restore = try Background([Repository.binary("berth"), "restore", pipe, "--state", berth.state], in: folder)
            _ = try await feeder.line { $0 == "fed" }
            let isWritten = await eventually { access(berth.state + "/restoring/gateway/gateway.db", F_OK) == 0 }
            #expect(isWritten)
            let during = try await berth.run(["restore", file])
            #expect(during.status == 1 && during.errors.contains("uses the state"), "\(during)")
            kill(restore.pid, SIGKILL)
            restore.end()
            feeder.end()
            let haveEnded = await eventually { (try? berth.pid(of: "state-part")) == nil && Self.parts(berth).isEmpty }
            #expect(haveEnded, "\(Self.parts(berth))")
            let up = try await berth.run(["up", "--listen", "127.0.0.1:\(berth.port)", "--detach"])
            let wanted = "a restore into \(berth.state) is under way or was cut off — "
            #expect(up.status == 1 && up.errors.contains(wanted), "\(up)")
            let backup = try await berth.run(["backup", folder + "/other"])
            #expect(backup.status == 1, "\(backup)")
            let again = try await berth.run(["restore", file])
            #expect(again.status == 0, "\(again.output) \(again.errors)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: berth.state).sorted() == ["gateway", "listen", "lock", "orchestrator", "version"])
            try await berth.up()
            let client = RawClient(url: alice.url, token: alice.token)
            #expect(try await client.call("echo", ["text": "here"]).text == "here", "\(berth.log)")
        }
    }

    /// Processes that write a part below this state.
    private static func parts(_ berth: Berth) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).filter { entry in
            guard let line = try? String(contentsOfFile: "/proc/\(entry)/cmdline", encoding: .utf8) else { return false }
            return line.contains("state-part") && line.contains(berth.state)
        }
    }
}
