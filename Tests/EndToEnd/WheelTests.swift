import Foundation
import TestSupport
import Testing

/// What `make dist` makes, here from the debug executable: a wheel that pip installs, and a program that stands alone.
@Suite struct WheelTests {
    private static func wheel(_ arguments: [String], environment: [String: String] = [:]) async throws -> CommandResult {
        try await Command.run(["/usr/bin/python3", Repository.root + "/scripts/wheel.py"] + arguments, environment: environment, seconds: 240)
    }

    /// Builds the wheel of `binary` in `folder`, and answers its path.
    private static func build(_ binary: String, in folder: String) async throws -> String {
        let built = try await wheel(["build", binary, "0.1.0", folder])
        try #require(built.status == 0, "\(built)")
        return String(built.output.dropLast())
    }

    /// As the aim has it: `berth-bridge -- python server.py`, by names alone, with a server of the real SDK.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: Repository.python(mcp: "2.3.0")), "needs the SDKs"))
    func itIsInstalledFromTheFileAndServes() async throws {
        try await withFolder { folder in
            let file = try await Self.build(Repository.binary("berth-bridge"), in: folder)
            #expect(file.hasSuffix("/berth_bridge-0.1.0-py3-none-manylinux_2_17_x86_64.musllinux_1_1_x86_64.whl"))
            let folderOfPython = (Repository.python(mcp: "2.3.0") as NSString).deletingLastPathComponent
            let path = folderOfPython + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")
            let checked = try await Self.wheel(["check", file, "--", "python", Repository.fixture("sdk_server.py")], environment: ["PATH": path])
            #expect(checked.status == 0, "\(checked)")
            for line in [
                "RECORD has the hash and size of each", "pip installs it from the file: berth-bridge 0.1.0", "ldd: not a dynamic executable",
                "berth-bridge -- python sdk_server.py serves 2 tools", "berth-bridge call URL echo answers", "localhost is found",
                geteuid() == 0 ? "and so it is in a root without any library" : "and ends with TERM",
            ] { #expect(checked.output.contains("  " + line + "\n"), "\(checked)") }
        }
    }

    @Test func theSameBinaryGivesTheSameBytes() async throws {
        try await withFolder(["program": "#!/bin/sh\n", "a/x": "", "b/x": ""]) { folder in
            let first = try await Self.build(folder + "/program", in: folder + "/a")
            try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: folder + "/program")
            let second = try await Self.build(folder + "/program", in: folder + "/b")
            #expect(FileManager.default.contents(atPath: first) == FileManager.default.contents(atPath: second))
        }
    }

    /// What a check is worth: a file that was changed, left out or added after the wheel was made.
    @Test(arguments: [
        ("content[0] += b'x'", "RECORD has the hash and size of berth_bridge-0.1.0.data/scripts/berth-bridge"),
        ("del names[3]; del content[3]", "RECORD names every file once, and no other"),
        ("names.append('more'); content.append(b'')", "RECORD names every file once, and no other"),
    ])
    func aChangedWheelIsSeen(_ change: String, _ says: String) async throws {
        try await withFolder(["program": "#!/bin/sh\n"]) { folder in
            let file = try await Self.build(folder + "/program", in: folder)
            let script = """
                import sys, zipfile
                with zipfile.ZipFile(sys.argv[1]) as z: names = z.namelist(); content = [z.read(n) for n in names]
                \(change)
                with zipfile.ZipFile(sys.argv[1], "w") as z: [z.writestr(n, c) for n, c in zip(names, content)]
                """
            #expect(try await Command.run(["/usr/bin/python3", "-c", script, file]).status == 0)
            let checked = try await Self.wheel(["check", file, "--", "true"])
            #expect(checked.status == 1 && checked.errors == "wheel.py: does not hold: \(says)\n", "\(checked)")
        }
    }

    /// A static libc loads nothing to look a name up: /etc/hosts must do.
    @Test(.enabled(if: Berth.isPossible, "needs root, to have an /etc/hosts of its own"))
    func namesOfTheHostAreFound() async throws {
        try await BridgeRig.run(["--allow-host", "wheel.test"], files: ["hosts": "127.0.0.1 localhost wheel.test\n"]) { rig in
            let url = try await rig.url().replacingOccurrences(of: "127.0.0.1", with: "wheel.test")
            let called = try await Command.run([
                "/usr/bin/unshare", "--mount", "sh", "-c", #"mount --bind "$0" /etc/hosts && exec "$@""#, rig.folder + "/hosts",
                Repository.binary("berth-bridge"), "call", url, "echo", #"{"text": "found"}"#,
            ])
            #expect(called.status == 0 && called.output == "found\n", "\(called)")
        }
    }

    /// It has the commands of berth, and bridge is what it does when none is named.
    @Test(arguments: [
        (["python", "server.py"], "'berth-bridge python' is no command — put the server's command after --: berth-bridge -- python3 server.py"),
        (["--port", "8000", "server.py"], "unexpected argument 'server.py' — put the server's command after --: berth-bridge -- python3 server.py"),
        (["calll"], "'berth-bridge calll' is no command — did you mean 'call'?"),
        ([], "no command given — berth-bridge --port 8000 -- python3 server.py"),
        (
            ["call", "http://127.0.0.1:1/mcp", "x"],
            "nothing listens at http://127.0.0.1:1/mcp — berth-bridge bridge prints the URL"
        ),
    ])
    func itSpeaksByItsOwnName(_ arguments: [String], _ says: String) async throws {
        let result = try await Command.run([Repository.binary("berth-bridge")] + arguments, seconds: 120)
        #expect(result.errors == "berth-bridge: \(says)\n" && result.status != 0 && result.output.isEmpty, "\(result)")
    }
}
