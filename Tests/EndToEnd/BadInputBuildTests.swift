import Foundation
import TestSupport
import Testing

/// Packages and servers that do not do what they should: the reason in one line, and nothing half-made.
@Suite(.enabled(if: Berth.isPossible, "machines need root"), .serialized)
struct BadInputBuildTests {
    @Test func packagesThatCannotBeHosted() async throws {
        try await Berth.run { berth in
            try await berth.up()
            // Waits for the shared parts of images, which are made in the background after the start.
            try await berth.add("clock", fixture: "fixture.py")
            try await berth.refuses([
                BadInput(
                    "connector", "add", "x", "--pypi", "berth-no-such-package-0b5e",
                    says: "failed: the package index has no package berth-no-such-package-0b5e — Check the spelling."),
                BadInput(
                    "connector", "add", "x", "--pypi", "mcp-server-time==99.1",
                    says:
                        "failed: the package index has no mcp-server-time==99.1 — Choose another version: https://pypi.org/project/mcp-server-time/#history."
                ),
                BadInput(
                    "connector", "add", "x", "--pypi", "mcp-server-time", "--constraint", "mcp<0.1", says: "failed: *"),
                BadInput("connector", "add", "x", "--pypi", "mcp-server-time", "--python", "9.9", says: "failed: Python 9.9 is asked for, and images of this host have Python 3.*"),
                BadInput("connector", "add", "x", "--pypi", "mcp-server-time", "--python", "3.11.4", says: "failed: 3.11.4 is no version of Python — *"),
            ])
            try await crashAtImport(berth)
            try await badServers(berth)
            try await noise(berth)
        }
    }

    /// A real one: its newest version decorates with what mcp 2 does not have any more.
    private func crashAtImport(_ berth: Berth) async throws {
        let before = try await Snapshot.of(berth)
        let failed = try await berth.run(["connector", "add", "notes", "--pypi", "mcp-server-sqlite"])
        #expect(failed.status == 1)
        #expect(failed.errors.contains("AttributeError: 'Server' object has no attribute"), "the child's standard error is shown: \(failed.errors)")
        let last = failed.errors.split(separator: "\n").last.map(String.init) ?? ""
        #expect(last.hasPrefix("berth: failed: the server did not become ready: "), "\(last)")
        #expect(last.contains("exited with status 1") && last.hasSuffix(": add --constraint 'mcp<2'"), "\(last)")
        let after = try await Snapshot.of(berth)
        #expect(after == before, "\(before.difference(after))")

        let ready = try await berth.json(["connector", "add", "notes", "--pypi", "mcp-server-sqlite", "--constraint", "mcp<2"])
        #expect(ready["event"] as? String == "ready" && (ready["tools"] as? Int ?? 0) > 0)
        try await berth.json(["connector", "remove", "notes"])
        let removed = try await Snapshot.of(berth)
        #expect(removed == before, "\(before.difference(removed))")
    }

    private func badServers(_ berth: Berth) async throws {
        let folder = try folder(berth, ["fails_to_start.py", "never_ready.py"])
        func add(_ command: String...) -> [String] { ["connector", "add", "x", "--dir", folder, "--"] + command }
        try await berth.refuses([
            BadInput(
                add("python3", "fails_to_start.py"),
                says: "failed: the server did not become ready: *"),
            BadInput(add("python3", "never_redy.py"), code: 64, says: "the folder \(folder) has no never_redy.py — did you mean 'never_ready.py'?"),
            BadInput(add("--verbose"), code: 64, says: "--verbose is no program — arguments of the server go by --arg: --arg --verbose"),
            BadInput(add("node", "server.js"), says: "failed: the image holds no program node — Images of folders and of PyPI packages have Python and git, and no Node; --npm PACKAGE hosts a package of npm."),
            BadInput(add("/usr/bin/python3", "-c", "print('bye')"), says: "failed: the server did not become ready: *"),
        ])
        let failed = try await berth.run(add("python3", "fails_to_start.py"))
        #expect(failed.errors.contains("no configuration found"), "\(failed.errors)")
        // The old one serves on when the new one does not start.
        let before = try await Snapshot.of(berth)
        let update = try await berth.run(["connector", "update", "clock", "--dir", folder, "--", "python3", "fails_to_start.py"])
        #expect(update.status == 1 && update.errors.contains("; clock serves on as it was"), "\(update.errors)")
        let after = try await Snapshot.of(berth)
        #expect(after == before, "\(before.difference(after))")
    }

    /// A server that greets on standard output works all the same.
    private func noise(_ berth: Berth) async throws {
        let folder = try folder(berth, ["banner.py", "fixture.py"])
        let ready = try await berth.run(["connector", "add", "banner", "--dir", folder, "--json", "--", "python3", "banner.py"])
        #expect(ready.status == 0, "\(ready.output) \(ready.errors) \(berth.log)")
        try await berth.json(["vmcp", "create", "noisy", "banner"])
        let alice = try await berth.token(for: "alice", vmcp: "noisy")
        let answer = try await RawClient(url: alice.url, token: alice.token).call("echo", ["text": "through the noise"])
        #expect(answer.text?.contains("through the noise") == true, "\(answer.json)")
    }

    private func folder(_ berth: Berth, _ fixtures: [String]) throws -> String {
        let folder = (berth.state as NSString).deletingLastPathComponent + "/folder-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in fixtures { try FileManager.default.copyItem(atPath: Repository.fixture(name), toPath: "\(folder)/\(name)") }
        return folder
    }

    /// A source distribution is foreign code that runs at build time: in a machine, where it reaches nothing.
    @Test func setupCannotReachTheHost() async throws {
        // Makes the shared parts, which the small index of this test does not have.
        try await Berth.run { warm in
            try await warm.up()
            try await warm.add("clock", fixture: "fixture.py")
        }

        try await Berth.run { berth in
            let folder = (berth.state as NSString).deletingLastPathComponent
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let target = folder + "/written-by-setup"
            let index = try Background(["/usr/bin/python3", Repository.fixture("index.py"), target], in: folder)
            defer { index.end() }
            let line = try await index.line()
            let ports = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Int])
            let port = try #require(ports["port"])
            try await berth.up(["--package-index", "http://127.0.0.1:\(port)/simple"])
            try await berth.add("clock", fixture: "fixture.py")
            let before = try await Snapshot.of(berth)
            let result = try await berth.run(["connector", "add", "evil", "--pypi", "berth-evil", "--json"])
            #expect(result.status == 1)
            let last = result.errors.split(separator: "\n").last.map(String.init) ?? ""
            #expect(last.hasPrefix("berth: failed: ") && last.contains("could not be built from source — "), "\(last)")
            let log = try #require(result.lastJSON?["stderr"] as? String, "\(result.output)")
            for attack in ["write-file", "write-etc", "connect-loopback", "connect-host", "tunnel", "control-socket"] {
                #expect(log.contains("attack \(attack) refused"), "\(attack) was tried and refused: \(log)")
            }
            #expect(!log.contains("POSSIBLE"))

            let report = try await Command.run(["/usr/bin/curl", "--silent", "http://127.0.0.1:\(port)/report"], seconds: 120)
            #expect(report.lastJSON?["trap"] as? Int == 0, "nothing reached the host's port")
            #expect((report.lastJSON?["asked"] as? [String])?.contains("simple/berth-evil") == true)
            #expect(!FileManager.default.fileExists(atPath: target))
            #expect(!FileManager.default.fileExists(atPath: "/etc/berth-evil"))
            let after = try await Snapshot.of(berth)
            #expect(after == before, "\(before.difference(after))")
        }
    }
}
