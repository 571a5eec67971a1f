import Foundation
import TestSupport
import Testing

/// Packages that are very new, of unknown age or named almost like a well-known one: asked about before anything of them is built.
@Suite(.enabled(if: Berth.isPossible, "machines need root"), .serialized)
struct ReleaseTests {
    /// Berth with a small index of PyPI and a registry of npm, and what sets the index's answers.
    private func withIndex(_ body: (Berth, _ index: String, _ set: (String) async throws -> Void) async throws -> Void) async throws {
        // Makes the shared parts, which the small index of this test does not have.
        try await Berth.run { warm in
            try await warm.up()
            try await warm.add("clock", fixture: "fixture.py")
        }
        try await Berth.run { berth in
            let folder = (berth.state as NSString).deletingLastPathComponent
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let index = try Background(["/usr/bin/python3", Repository.fixture("wheels.py")], in: folder)
            defer { index.end() }
            let line = try await index.line()
            let port = try #require((try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Int])?["port"])
            let known = folder + "/known"
            try "# ours\npypi berth-dem0\n".write(toFile: known, atomically: true, encoding: .utf8)
            let url = "http://127.0.0.1:\(port)"
            try await berth.up(["--package-index", url + "/simple"])
            // What every build starts from is there from now on.
            try await berth.add("clock", fixture: "fixture.py")
            try await body(berth, url + "/simple") { path in
                let said = try await Command.run(["/usr/bin/curl", "--silent", "--fail", "\(url)/\(path)"], seconds: 120)
                #expect(said.status == 0)
            }
        }
    }

    private func atTerminal(_ berth: Berth, _ command: String, _ input: String) async throws -> CommandResult {
        try await Command.run(
            ["/usr/bin/script", "--quiet", "--return", "--command", "\(Repository.binary("berth")) \(command)", "/dev/null"],
            environment: ["BERTH_STATE": berth.state], input: input, seconds: 180)
    }

    @Test func aYoungReleaseIsAskedAbout() async throws {
        try await withIndex { berth, _, set in
            try await set("age/7200")
            let add = ["connector", "add", "demo", "--pypi", "berth-demo"]
            // Nobody can be asked: refused, with what would say yes; nothing is left.
            try await berth.refuses([
                BadInput(
                    add,
                    says:
                        "failed: nobody has said yes to berth-demo 1.0: it was published 2 hours ago, less than 72 hours — Look at it first; --accept berth-demo==1.0 takes it as it is."
                ),
                BadInput(add + ["--accept", "berth-demo==2.0"], says: "failed: nobody has said yes to berth-demo 1.0: *"),
                BadInput(["image", "test", "--pypi", "berth-demo"], says: "failed: nobody has said yes to berth-demo 1.0: *"),
            ])
            let refused = try await berth.run(add + ["--json"])
            #expect(refused.status == 1 && refused.lastJSON?["error"] as? String == "unconfirmed", "\(refused.output)")
            #expect(refused.lastJSON?["accept"] as? [String] == ["berth-demo==1.0"])
            // Nor does whoever drives the APIs go around it: the gateway's, and the orchestrator's own.
            let key = try berth.key
            let body = #"{"name":"demo","source":{"pypi":"berth-demo"}}"#
            let gateway = try await Command.run(
                ["/usr/bin/curl", "--silent", "--unix-socket", "/run/berth/\(key)/control.sock", "-H", "content-type: application/json", "-d", body, "http://localhost/api/v1/connectors"])
            #expect(gateway.lastJSON?["error"] as? String == "unconfirmed", "\(gateway.output)")
            let orchestrator = try await Command.run(
                ["/usr/bin/curl", "--silent", "--unix-socket", "/run/berth/\(key)/machines.sock", "-H", "content-type: application/json", "-d", #"{"pypi":"berth-demo"}"#, "http://x/v1/berth/images"])
            #expect(orchestrator.lastJSON?["error"] as? String == "unconfirmed", "\(orchestrator.output)")
            #expect((try await berth.json(["image", "list"])["images"] as? [Any])?.count == 1)

            // At a terminal: no is the default.
            let declined = try await atTerminal(berth, "connector add demo --pypi berth-demo", "\n")
            #expect(declined.status == 1 && declined.output.contains("Build berth-demo==1.0 all the same? [y/N]"), "\(declined.output)")
            #expect(declined.output.contains("Publisher  alice") && declined.output.contains("Caution    it was published 2 hours ago"), "\(declined.output)")
            #expect((try await berth.json(["connector", "list"])["connectors"] as? [Any])?.count == 1)
            let agreed = try await atTerminal(berth, "connector add demo --pypi berth-demo", "y\n")
            #expect(agreed.status == 0 && agreed.output.contains("demo ready: 1 tool"), "\(agreed.output) \(berth.log)")
            // Built before: there is no question left.
            let again = try await berth.run(["connector", "add", "again", "--pypi", "berth-demo"])
            #expect(again.status == 0 && again.output.contains("Built before"), "\(again.output) \(again.errors)")

            // A new version is as much of a stranger, with --yes too.
            try await set("publish/2")
            let rebuilt = try await berth.run(["connector", "rebuild", "demo", "--yes"])
            #expect(rebuilt.status == 1 && rebuilt.errors.contains("--accept berth-demo==2.0"), "\(rebuilt.output) \(rebuilt.errors)")
            let taken = try await berth.run(["connector", "rebuild", "demo", "--yes", "--accept", "berth-demo==2.0"])
            #expect(taken.status == 0 && taken.output.contains("~ berth-demo 1.0 → 2.0"), "\(taken.output) \(taken.errors)")
            let audit = try await berth.audit()
            #expect("\(audit)".contains("Nobody has said yes to berth-demo 1.0"), "\(audit)")
        }
    }

    @Test func whatAnIndexHidesOrLiesAboutIsUnknown() async throws {
        try await withIndex { berth, index, set in
            try await set("age/none")
            try await set("lie")
            let add = ["connector", "add", "demo", "--pypi", "berth-demo"]
            let silent = try await berth.run(add)
            #expect(silent.status == 1 && silent.errors.contains("the index does not say when it was published"), "\(silent.errors)")
            #expect(silent.output.contains("Published  unknown") && silent.output.contains("Author     Mallory"), "\(silent.output)")
            #expect(!(silent.output + silent.errors).unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{7}" || $0 == "\u{202E}" }, "\(silent.output)")
            try await set("age/-864000")
            let future = try await berth.run(add)
            #expect(future.status == 1 && future.errors.contains("published in the future"), "\(future.errors)")

            // The limit is a setting, and so are names that others resemble.
            let folder = (berth.state as NSString).deletingLastPathComponent
            #expect(try await berth.run(["down"]).status == 0)
            try await berth.up(["--package-index", index, "--release-age", "0", "--known-servers", folder + "/known"])
            let alike = try await berth.run(add)
            #expect(alike.status == 1 && alike.errors.contains("its name is almost that of berth-dem0"), "\(alike.errors)")
            #expect(!alike.errors.contains("published"), "\(alike.errors)")
            let taken = try await berth.run(add + ["--accept", "berth-demo==1.0"])
            #expect(taken.status == 0, "\(taken.output) \(taken.errors)")
        }
    }

    /// An import leaves out what it has a question about, and takes the rest; the same by npm.
    @Test func anImportLeavesItOut() async throws {
        try await Berth.run { berth in
            let folder = (berth.state as NSString).deletingLastPathComponent
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let registry = try Background(["/usr/bin/python3", Repository.fixture("npm_registry.py")], in: folder)
            defer { registry.end() }
            let line = try await registry.line()
            let port = try #require((try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Int])?["port"])
            try "npm berth-echo\n".write(toFile: folder + "/known", atomically: true, encoding: .utf8)
            try await berth.up(["--npm-registry", "http://127.0.0.1:\(port)", "--known-servers", folder + "/known"])
            let file = folder + "/desk.json"
            try #"{"mcpServers":{"good":{"command":"npx","args":["-y","berth-echo"]},"bad":{"command":"npx","args":["-y","berth-ecko"]}}}"#
                .write(toFile: file, atomically: true, encoding: .utf8)
            let done = try await berth.run(["import", file, "--yes", "--for", "alice"], seconds: 300)
            #expect(done.status == 1 && done.output.contains("good ready: 3 tools"), "\(done.output) \(done.errors)")
            #expect(done.errors.contains("ago, less than 72 hours, and its name is almost that of berth-echo — Look at it first; --accept berth-ecko@1.0.0"), "\(done.errors)")
            #expect(done.output.contains("Publisher  alice") && done.output.contains("Brings     1 other package"), "\(done.output)")
            #expect(!(done.output + done.errors).contains("\u{1B}"))
            let rows = try await berth.json(["connector", "list"])["connectors"] as? [[String: Any]] ?? []
            #expect(rows.compactMap { $0["name"] as? String } == ["good"])
            let again = try await berth.run(["import", file, "--yes", "--accept", "berth-ecko@1.0.0"], seconds: 300)
            #expect(again.status == 0 && again.output.contains("bad ready: 3 tools"), "\(again.output) \(again.errors)")
        }
    }
}
