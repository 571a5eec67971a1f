import Foundation
import TestSupport
import Testing

/// Who may not: refusals at the gateway, the two processes' rights, secrets.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct AccessTests {
    @Test func refusalsTellNothingAndProcessesHoldNothing() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let secret = "s3cret-\(UUID().uuidString)"
            let folder = (berth.state as NSString).deletingLastPathComponent
            try secret.write(toFile: folder + "/key", atomically: true, encoding: .utf8)
            try await berth.add("fixture", fixture: "fixture.py", ["--secret", "API_KEY=@\(folder)/key", "--env", "LEVEL=debug"])
            try await berth.json(["vmcp", "create", "office", "fixture"])
            try await berth.json(["vmcp", "create", "other", "fixture"])
            let alice = try await berth.token(for: "alice", vmcp: "office")
            let bob = try await berth.token(for: "bob", vmcp: "other")

            try await noAccessEqualsNoSlug(berth, bob.token)
            try await wrongNamesAndTokens(berth, alice)
            try await gatewayHoldsNoPower(berth)
            try await secretReachesOnlyTheChild(berth, secret, alice)
            try await updateOfSecrets(berth, secret, alice)
            try await revocationEndsTheToken(berth, alice)
        }
    }

    private func noAccessEqualsNoSlug(_ berth: Berth, _ token: String) async throws {
        let foreign = try await RawClient(url: berth.url + "/v/office/mcp", token: token).send("tools/list")
        let unknown = try await RawClient(url: berth.url + "/v/nosuch/mcp", token: token).send("tools/list")
        #expect(foreign.status == 404 && unknown.status == 404)
        #expect(foreign.body == unknown.body)
        var (left, right) = (foreign.headers, unknown.headers)
        for name in ["date"] { left[name] = nil; right[name] = nil }
        #expect(left == right)
    }

    private func wrongNamesAndTokens(_ berth: Berth, _ alice: (id: String, url: String, token: String)) async throws {
        #expect(try await RawClient(url: alice.url, token: nil).send("tools/list").status == 401)
        #expect(try await RawClient(url: alice.url, token: "berth_wrong").send("tools/list").status == 401)
        #expect(try await RawClient(url: alice.url, token: alice.token, host: "evil.example.com").send("tools/list").status == 403)
        #expect(try await RawClient(url: alice.url, token: alice.token, origin: "http://evil.example.com").send("tools/list").status == 403)
        #expect(try await RawClient(url: alice.url, token: alice.token).send("tools/list").status == 200)
        let unknown = try await RawClient(url: alice.url, token: alice.token).call("nosuch")
        #expect((unknown.json["error"] as? [String: Any])?["code"] as? Int == -32602)
        // A virtual MCP's token does not open the API, nor does none.
        for token in [alice.token, nil] {
            let answer = try await RawClient(url: berth.url + "/api/v1/tokens", token: token).post(Data("{}".utf8), [])
            #expect(answer.status == 401 || answer.status == 403)
        }
    }

    private func gatewayHoldsNoPower(_ berth: Berth) async throws {
        let pid = try berth.pid(of: "gateway")
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        func field(_ name: String) -> String {
            status.split(separator: "\n").first { $0.hasPrefix(name + ":") }.map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) } ?? ""
        }
        let (uid, gid) = try #require(getpwnam("berth").map { ($0.pointee.pw_uid, $0.pointee.pw_gid) })
        #expect(field("Uid").split(separator: "\t").allSatisfy { $0 == "\(uid)" })
        for capability in ["CapPrm", "CapEff", "CapInh", "CapAmb"] { #expect(UInt64(field(capability), radix: 16) == 0) }
        #expect(field("NoNewPrivs") == "1")
        // What that uid can open: tried by a process of that uid, in the gateway's own mount namespace.
        // The control: the same command opens the gateway's own database, so that a refusal is the permission's and not the command's.
        for path in ["control", "orchestrator/orchestrator.db", "orchestrator/keys", "lock"] {
            let file = path == "control" ? "/run/berth/\(try berth.key)/gateway-state/gateway.db" : berth.state + "/" + path
            let attempt = try await Command.run(
                ["/usr/bin/nsenter", "-t", "\(pid)", "-m", "setpriv", "--reuid", "\(uid)", "--regid", "\(gid)", "--clear-groups", "cat", file])
            #expect((attempt.status == 0) == (path == "control"), "\(path): \(attempt.status) \(attempt.errors)")
        }
    }

    private func secretReachesOnlyTheChild(_ berth: Berth, _ secret: String, _ alice: (id: String, url: String, token: String)) async throws {
        let answer = try await RawClient(url: alice.url, token: alice.token).call("identity")
        let text = try #require(answer.text, "\(answer.json) \(berth.log)")
        #expect(text.contains("API_KEY") && text.contains("LEVEL"), "the child has its variables: \(text)")

        // Nowhere else: files of the state (sealed), process lists, logs, answers of every list.
        for command in [["connector", "list"], ["machines", "list"], ["status"], ["logs", "fixture"], ["token", "list"]] {
            let result = try await berth.run(command + ["--json"])
            #expect(!result.output.contains(secret) && !result.errors.contains(secret), "\(command)")
        }
        let grep = try await Command.run(["/usr/bin/grep", "-rlaF", "--", secret, berth.state, "/run/berth"])
        #expect(grep.output.isEmpty, "in \(grep.output)")
        for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") where Int(entry) != nil {
            let line = (try? String(contentsOfFile: "/proc/\(entry)/cmdline", encoding: .utf8)) ?? ""
            #expect(!line.contains(secret))
        }
        let tail = try await berth.audit().filter { $0["method"] as? String == "tools/call" }
        #expect(!tail.isEmpty && !"\(tail)".contains(secret))
    }

    /// An update keeps the secrets that it does not name, sets those that it does, and drops what it is told to.
    private func updateOfSecrets(_ berth: Berth, _ secret: String, _ alice: (id: String, url: String, token: String)) async throws {
        let folder = (berth.state as NSString).deletingLastPathComponent + "/fixture-source"
        func update(_ extra: [String], input: String? = nil) async throws -> CommandResult {
            try await berth.run(
                ["connector", "update", "fixture", "--dir", folder] + extra + ["--", "/usr/bin/python3", "server.py"], input: input)
        }
        func variables() async throws -> [String: String] {
            let text = try await RawClient(url: alice.url, token: alice.token).call("identity").text ?? ""
            let identity = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
            return identity?["environment"] as? [String: String] ?? [:]
        }
        let second = "second-\(UUID().uuidString)"
        let added = try await update(["--secret", "OTHER"], input: second + "\n")
        #expect(added.status == 0, "\(added.errors)")
        #expect(try await variables()["API_KEY"] == secret)
        #expect(try await variables()["OTHER"] == second)
        let dropped = try await update(["--drop-secret", "API_KEY"])
        #expect(dropped.status == 0, "\(dropped.errors)")
        #expect(try await variables()["API_KEY"] == nil)
        #expect(try await variables()["OTHER"] == second)
        let unknown = try await update(["--drop-secret", "OTHR"])
        #expect(unknown.status == 1 && unknown.errors.contains("OTHER"), "\(unknown.errors)")

        // Without a source the image stays: neither the folder nor an upload of it is needed.
        try FileManager.default.removeItem(atPath: folder)
        for upload in try FileManager.default.subpathsOfDirectory(atPath: berth.state) where upload.contains("uploads/") {
            try? FileManager.default.removeItem(atPath: berth.state + "/" + upload)
        }
        let image = try await berth.json(["connector", "show", "fixture"])["image"] as? String
        let third = "third-\(UUID().uuidString)"
        let rotated = try await berth.run(["connector", "update", "fixture", "--secret", "OTHER", "--arg", "--loud"], input: third + "\n")
        #expect(rotated.status == 0, "\(rotated.errors)")
        #expect(try await variables()["OTHER"] == third)
        #expect(try await variables()["LEVEL"] == "debug", "what was not named stays")
        let shown = try await berth.json(["connector", "show", "fixture"])
        #expect(shown["image"] as? String == image && (shown["command"] as? [String])?.last == "--loud", "\(shown)")
    }

    private func revocationEndsTheToken(_ berth: Berth, _ alice: (id: String, url: String, token: String)) async throws {
        try await berth.json(["token", "revoke", alice.id])
        let ended = try await eventually(within: 5) { try await RawClient(url: alice.url, token: alice.token).send("tools/list").status == 401 }
        #expect(ended)
    }
}
