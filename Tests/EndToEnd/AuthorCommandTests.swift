import Foundation
import TestSupport
import Testing

/// What the author's commands take from the environment they are typed in.
@Suite struct AuthorCommandTests {
    private static let server = "#!/bin/sh\nexec /usr/bin/python3 \(Repository.fixture("fixture.py"))\n"

    /// The server's own PATH is another, and stays so.
    @Test func aProgramIsTheOneThatTheShellWouldStart() async throws {
        try await withFolder(["bin/server": Self.server]) { folder in
            chmod(folder + "/bin/server", 0o755)
            let environment = ["PATH": "relative:\(folder)/bin:/usr/bin:/bin"]
            func berth(_ arguments: [String]) async throws -> CommandResult {
                try await Command.run([Repository.binary("berth")] + arguments, environment: environment, seconds: 120)
            }
            let found = try await berth(["call", "echo", #"{"text": "here"}"#, "--", "server"])
            #expect(found.status == 0 && found.output == "here\n", "\(found)")
            let given = try await berth(["tools", "--env", "PATH=/usr/bin:/bin", "--", "server"])
            #expect(given.status == 1 && given.errors.hasPrefix("berth: no program server in /usr/bin:/bin — "), "\(given)")
            try await BridgeRig.run([], environment: environment, command: ["server"]) { rig in
                let variables = try await rig.client().identity()["environment"] as? [String: String]
                #expect(variables?["PATH"] == "/usr/local/bin:/usr/bin:/bin", "\(variables ?? [:])")
            }
        }
    }

    /// As the bridge is told: nobody sees a value on a command line, nor in what the server says of it.
    @Test func aServerBehindTheTerminalHasItsEnvironmentAndItsFolder() async throws {
        let server = """
            import os, sys
            sys.path.insert(0, "\((Repository.fixture("fixture.py") as NSString).deletingLastPathComponent)")
            import fixture
            print("key " + os.environ["API_KEY"], file=sys.stderr, flush=True)
            fixture.Server().run()
            """
        try await withFolder(["env": "API_KEY=hunter22\n", "work/x": "", "server.py": server]) { folder in
            let options = ["--env-file", folder + "/env", "--cwd", folder + "/work"]
            let command = ["--", BridgeRig.python, "-B", folder + "/server.py"]
            let called = try await TerminalTests.berth(["call", "identity", "--verbose"] + options + command)
            #expect(called.status == 0 && called.output.contains("hunter22") && called.output.contains("/work\""), "\(called)")
            #expect(called.errors.contains("key ***") && !called.errors.contains("hunter22"), "\(called)")
            let read = try await TerminalTests.berth(["tools", "--cwd", folder + "/none"] + command)
            #expect(read.status == 64 && read.errors.hasPrefix("berth: --cwd '\(folder)/none' is no directory — "), "\(read)")
        }
    }

    /// A name without a slash is looked for elsewhere.
    @Test(arguments: [("s.py", "python3 s.py"), ("s.js", "node s.js"), ("serve", "./serve")])
    func aFileThatLiesHereIsMeant(_ name: String, _ meant: String) async throws {
        try await withFolder([name: ""]) { folder in
            let result = try await Command.run([Repository.binary("berth"), "bridge", "--", name], directory: folder, seconds: 120)
            #expect(result.status == 1 && result.errors.hasSuffix(" — it is a file here: -- \(meant)\n"), "\(result)")
        }
    }

    /// A bridge refuses such a file; here it is somebody's own.
    @Test(arguments: [(0o600, false), (0o640, true), (0o604, true)]) func aTokenThatOthersReadIsToldOf(_ mode: mode_t, _ isTold: Bool) async throws {
        try await withFolder(["token": "tok-1\n"]) { folder in
            let file = folder + "/token"
            chmod(file, mode)
            let warning = "berth: warning: --token-file \(file) is readable by others: chmod 600 \(file)\n"
            let url = "http://127.0.0.1:1/mcp"
            for arguments in [["tools", url], ["connect", url], ["install", "cursor", "x", url]] {
                let result = try await Command.run([Repository.binary("berth")] + arguments + ["--token-file", file], directory: folder, seconds: 120)
                #expect(result.errors.hasPrefix(warning) == isTold && !result.output.contains("readable"), "\(result)")
            }
        }
    }

    @Test(arguments: [
        ("two words", "BERTH_TOKEN holds more than a token — the token alone: lines of NAME TOKEN are for berth bridge --token-file", 64),
        ("line\r\nx-more:1", "BERTH_TOKEN holds no token — one line, as berth token create prints it", 64),
        ("good\n", "nothing listens at http://127.0.0.1:1/mcp — berth status has the URL; berth bridge prints its own", 1),
        ("", "nothing listens at http://127.0.0.1:1/mcp — berth status has the URL; berth bridge prints its own", 1),
    ] as [(String, String, Int32)])
    func aTokenIsFitForAHeader(_ token: String, _ says: String, _ status: Int32) async throws {
        let result = try await TerminalTests.berth(["tools", "http://127.0.0.1:1/mcp"], environment: ["BERTH_TOKEN": token])
        #expect(result.status == status && result.errors == "berth: \(says)\n", "\(result)")
    }
}
