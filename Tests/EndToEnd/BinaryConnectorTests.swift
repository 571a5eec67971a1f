import Foundation
import TestSupport
import Testing

/// `--binary`: one executable, in a real machine whose root holds nothing but it.
@Suite(.enabled(if: Berth.isPossible, "machines need root"), .serialized)
struct BinaryConnectorTests {
    private func folder(_ berth: Berth) throws -> String {
        let folder = (berth.state as NSString).deletingLastPathComponent + "/programs"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    @Test func aStaticProgramIsAServer() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let folder = try folder(berth)
            let program = try await CompiledFixture.make("tiny", in: folder)
            let ready = try await berth.run(["connector", "add", "tiny", "--binary", program])
            #expect(ready.status == 0 && ready.output.contains("tiny ready: 2 tools"), "\(ready.output) \(ready.errors) \(berth.log)")
            let shown = try await berth.run(["connector", "show", "tiny"])
            #expect(shown.output.contains("/srv/server/tiny") && shown.output.contains("MB of its own"), "\(shown.output)")

            let port = try FreePort.take()
            let web = try await berth.run(["connector", "add", "web", "--binary", program, "--http", "\(port)", "--arg", "\(port)"])
            #expect(web.status == 0 && web.output.contains("web ready: 2 tools"), "\(web.output) \(web.errors) \(berth.log)")

            try await berth.json(["vmcp", "create", "both", "tiny", "web"])
            let alice = try await berth.token(for: "alice", vmcp: "both")
            let client = RawClient(url: alice.url, token: alice.token)
            for name in ["tiny", "web"] {
                let said = try await client.call("\(name)__echo", ["text": "through \(name)"]).text
                #expect(said == "through \(name)", "\(String(describing: said)) \(berth.log)")
                // What a program sees of its root: the machine's own folders, and its own.
                let root = try #require(try await client.call("\(name)__root", [:]).text)
                #expect(Set(root.split(separator: " ").map(String.init)).isSubset(of: ["dev", "etc", "opt", "proc", "run", "srv", "tmp"]), "\(root)")
            }
            // Another command of the same program needs no upload.
            let changed = try await berth.run(["connector", "update", "web", "--stdio", "--no-args"])
            #expect(changed.status == 0 && changed.output.contains("web ready"), "\(changed.output) \(changed.errors)")
        }
    }

    @Test func whatCannotRunIsToldBeforeAMachineStarts() async throws {
        try await Berth.run { berth in
            try await berth.up()
            // Waits for the shared parts of images, which are made in the background after the start.
            try await berth.add("clock", fixture: "fixture.py")
            let folder = try folder(berth)
            let program = try await CompiledFixture.make("tiny", in: folder)
            var bytes = try Data(contentsOf: URL(fileURLWithPath: program))
            bytes[18] = 183
            try bytes.write(to: URL(fileURLWithPath: folder + "/arm"))
            try "#!/bin/sh\nexec true\n".write(toFile: folder + "/run.sh", atomically: true, encoding: .utf8)
            let musl = try await CompiledFixture.make("tiny", ["-Wl,--dynamic-linker=/lib64/ld-musl-x86_64.so.1"], in: folder, as: "musl")
            func add(_ file: String) -> [String] { ["connector", "add", "x", "--binary", file] }
            try await berth.refuses([
                BadInput(
                    add(folder + "/arm"),
                    says:
                        "failed: arm is a program for aarch64, and this host is x86_64 — Build it for x86_64 (Go: GOARCH=amd64; Rust: --target x86_64-unknown-linux-musl)."
                ),
                BadInput(add(folder + "/run.sh"), says: "failed: run.sh is a shell script, and its root has no /bin/sh — Host it as a folder *"),
                BadInput(add(musl), says: "failed: musl needs /lib64/ld-musl-x86_64.so.1, which its root does not have — Link it statically *"),
                BadInput(add(folder), code: 64, says: "--binary \(folder) is no file — a folder goes by --dir"),
                BadInput(
                    add(folder + "/none"), code: 64,
                    says: "--binary \(folder)/none cannot be read: No such file or directory — give an executable file"),
                BadInput(add(program) + ["--pypi", "x"], code: 64, says: "--pypi and --binary exclude each other — give one of them"),
            ])
            let told = try await berth.run(add(folder + "/arm") + ["--json"])
            #expect(told.lastJSON?["reason"] as? String == "exec_format" && told.lastJSON?["error"] as? String == "exec_format", "\(told.output)")
            let list = try await berth.json(["machines", "list"])
            #expect((list["machines"] as? [Any])?.count == 1, "the clock's alone")
        }
    }

    @Test func aStartThatFailsHasAReason() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let program = try await CompiledFixture.make("tiny", in: try folder(berth))
            // A port that there is not, and one that is not the said one.
            let ended = try await berth.run(["connector", "add", "x", "--binary", program, "--http", "8123", "--arg", "70000", "--json"])
            #expect(ended.lastJSON?["reason"] as? String == "exit_before_ready" && ended.lastJSON?["exit_code"] as? Int == 3, "\(ended.output)")
            let elsewhere = try await berth.run(["connector", "add", "x", "--binary", program, "--http", "8123", "--arg", "8124", "--json"])
            #expect(elsewhere.lastJSON?["reason"] as? String == "bind_loopback", "\(elsewhere.output)")
            let silent = try await berth.run(["connector", "add", "x", "--binary", program, "--arg", "8125", "--json"])
            #expect(silent.lastJSON?["reason"] as? String == "probe_timeout", "\(silent.output)")
        }
    }

    /// Servers of the field that are one program each, as `make test-all` installs them.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: Repository.root + "/.venv-servers"), "make test-all installs the servers"))
    func hostsProgramsOfTheField() async throws {
        let servers = Repository.root + "/.venv-servers"
        try await Berth.run { berth in
            try await berth.up()
            let packages = servers + "/grafana/lib/python3.11/site-packages/mcp_grafana/bin/mcp-grafana"
            let grafana = try await berth.run(
                ["connector", "add", "grafana", "--binary", packages, "--env", "GRAFANA_URL=http://127.0.0.1:3000"], seconds: 300)
            #expect(grafana.status == 0 && grafana.output.contains("grafana ready: 79 tools"), "\(grafana.output) \(grafana.errors) \(berth.log)")
            // Linked to the distribution's C library.
            let biomcp = try await berth.run(
                ["connector", "add", "biomcp", "--binary", servers + "/biomcp/bin/biomcp", "--arg", "mcp"], seconds: 300)
            #expect(biomcp.status == 0 && biomcp.output.contains("biomcp ready: 7 tools"), "\(biomcp.output) \(biomcp.errors) \(berth.log)")
            #expect(biomcp.output.contains("the base system goes below it"))
        }
    }
}
