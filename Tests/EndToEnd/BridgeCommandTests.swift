import Foundation
import TestSupport
import Testing

/// `berth bridge` as its users run it.
@Suite struct BridgeCommandTests {
    @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func endsWithoutAChild(signal: Int32) async throws {
        try await BridgeRig.run([]) { bridge in
            let pid = try await bridge.client().pid()
            #expect(await bridge.process.end(signal) == 0)
            #expect(kill(pid_t(pid), 0) != 0 && errno == ESRCH)
        }
    }

    /// One that is another process every 2 ms, and in a session of its own.
    @Test func endsWithADaemonThatIsNeverTheSame() async throws {
        let command = [BridgeRig.python, Repository.fixture("faulty.py"), "never_the_same", "%/lock"]
        try await BridgeRig.run([], files: ["lock": ""], command: command) { bridge in
            _ = try await bridge.url()
            #expect(!BridgeRig.isFree(bridge.folder + "/lock"))
            #expect(await bridge.process.end(SIGTERM) == 0)
            #expect(BridgeRig.isFree(bridge.folder + "/lock"), "\(bridge.lines)")
        }
    }

    /// Also when no server has come up yet.
    @Test func endsWhileItStarts() async throws {
        try await BridgeRig.run(["--trace"], command: [BridgeRig.python, Repository.fixture("never_ready.py")]) { bridge in
            #expect(await bridge.says("server/discover"), "\(bridge.lines)")
            #expect(await bridge.process.end(SIGINT) == 0)
            #expect(!bridge.process.output.contains("http://"))
        }
    }

    @Test func theServersEnvironmentIsWhatWasGiven() async throws {
        let files = ["env": "export B='two words' # why\nTOKEN=hunter22\nC=1\n"]
        let arguments = ["--env", "A=1", "--env", "C=2", "--env-file", "%/env", "--cwd", "%"]
        try await BridgeRig.run(arguments, files: files, environment: ["BERTH_MARKER": "leak", "HOME": "/root"]) { bridge in
            var found = try #require(try await bridge.client().identity()["environment"] as? [String: String])
            // Python's own, when it finds no locale.
            found["LC_CTYPE"] = nil
            #expect(found == ["PATH": "/usr/local/bin:/usr/bin:/bin", "A": "1", "B": "two words", "TOKEN": "hunter22", "C": "2"])
        }
    }

    /// Its terminal was closed.
    @Test func aHangupEndsItInOrder() async throws {
        try await BridgeRig.run([]) { bridge in
            let pid = pid_t(try await bridge.client().pid())
            #expect(await bridge.process.end(SIGHUP) == 0)
            #expect(kill(pid, 0) != 0)
        }
    }

    /// Whatever ends the bridge, SIGKILL too: one that ignores the end of its input is not left behind.
    @Test func theServerEndsWithTheBridge() async throws {
        try await BridgeRig.run([], command: [BridgeRig.python, Repository.fixture("ignores_eof.py")]) { bridge in
            let pid = pid_t(try await bridge.client().pid())
            #expect(kill(pid, 0) == 0)
            kill(bridge.process.pid, SIGKILL)
            await eventually("the server is gone") { kill(pid, 0) != 0 }
        }
    }

    @Test func valuesOfAFileAreMasked() async throws {
        let server = "import os, sys\nprint('key ' + os.environ['API_KEY'], file=sys.stderr)\nsys.exit(3)\n"
        try await BridgeRig.run(
            ["--env-file", "%/env"], files: ["env": "API_KEY=hunter22", "server.py": server], command: [BridgeRig.python, "%/server.py"]
        ) { bridge in
            #expect(await bridge.says("serves nothing"), "\(bridge.lines)")
            // Its author is told why, wherever he looks.
            let answer = try await bridge.client().call("echo")
            #expect("\(answer.json)".contains("exited with status 3\\nkey ***"), "\(answer.json)")
            #expect(bridge.process.output.contains("key ***") && !bridge.process.output.contains("hunter22"), "\(bridge.lines)")
        }
    }

    @Test func onlyTokensPass() async throws {
        let token = "0123456789abcdef-alice"
        try await BridgeRig.run(["--token-file", "%/tokens", "--host", "0.0.0.0", "--trace"], files: ["tokens": "alice \(token)\n"]) { bridge in
            let url = try await bridge.url().replacingOccurrences(of: "0.0.0.0", with: "127.0.0.1")
            for wrong in [nil, "0123456789abcdef-alicf"] {
                let answer = try await RawClient(url: url, token: wrong).call("echo", ["text": "x"])
                #expect(answer.status == 401 && answer.headers["www-authenticate"] == "Bearer")
            }
            #expect(try await RawClient(url: url, token: token).call("echo", ["text": "x"]).text == "x")
            #expect(!bridge.process.output.contains(token))
            #expect(bridge.process.output.contains("--allow-host"), "every address is no name: \(bridge.lines)")
        }
    }

    @Test func aProcessThatNobodyCallsEnds() async throws {
        try await BridgeRig.run(["--idle", "1s"]) { bridge in
            let client = try await bridge.client()
            let pid = try await client.pid()
            #expect(await eventually { kill(pid_t(pid), 0) != 0 })
            #expect(try await client.pid() != pid)
        }
    }

    /// A program is one from here, also where it works elsewhere.
    @Test func aProgramsPathIsRelativeToTheCaller() async throws {
        let script = "#!\(BridgeRig.python)\n" + (try String(contentsOfFile: Repository.fixture("fixture.py"), encoding: .utf8))
        try await withFolder(["bin/server": script, "work/x": ""]) { folder in
            chmod(folder + "/bin/server", 0o700)
            // A shell, because the command's own directory is what this is about.
            let process = try Background(
                ["/bin/sh", "-c", "cd \(folder) && exec \(Repository.binary("berth")) bridge --cwd work -- bin/server"], in: folder)
            defer { process.end() }
            let client = try await BridgeRig(folder: folder, process: process).client()
            #expect((try await client.identity()["cwd"] as? String)?.hasSuffix("/work") == true)
        }
    }

    /// Clients of 2025-06-18, one after the other.
    @Test(arguments: ["session", "shared"]) func sessionsShareAProcessWhereAsked(mode: String) async throws {
        try await BridgeRig.run(["--mode", mode]) { bridge in
            let client = try await bridge.client()
            var pids: [Int?] = []
            for _ in 0..<2 {
                let hello = #"{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"#
                    + #""clientInfo":{"name":"t","version":"1"}}}"#
                let accept = "Accept: application/json, text/event-stream"
                let session = try #require(try await client.post(Data(hello.utf8), [accept]).headers["mcp-session-id"])
                let call = #"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"identity","arguments":{}}}"#
                let answer = try await client.post(
                    Data(call.utf8), [accept, "Mcp-Session-Id: \(session)", "MCP-Protocol-Version: 2025-06-18"])
                let found = try JSONSerialization.jsonObject(with: Data((answer.text ?? "").utf8)) as? [String: Any]
                pids.append(found?["pid"] as? Int)
            }
            #expect(pids[0] != nil && (pids[0] == pids[1]) == (mode == "shared"), "\(pids)")
        }
    }

    // MARK: Servers that do not start

    @Test func aServerThatDoesNotStartDoesNotEndIt() async throws {
        let server = """
            import os, sys
            if not os.path.exists(sys.argv[1]): sys.exit(9)
            os.execv(sys.executable, [sys.executable, sys.argv[2]])
            """
        try await BridgeRig.run(
            ["--json"], files: ["server.py": server],
            command: [BridgeRig.python, "%/server.py", "%/mended", Repository.fixture("fixture.py")]
        ) { bridge in
            let line = try await bridge.process.line { $0.hasPrefix("{") }
            let ready = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            #expect(ready["tools"] is NSNull && ready["reason"] as? String == "the server exited with status 9", "\(line)")
            let client = RawClient(url: try #require(ready["url"] as? String), token: nil)
            let refused = try await client.call("echo", ["text": "x"])
            #expect("\(refused.json)".contains("exited with status 9"), "\(refused.json)")
            try writeFile("", to: bridge.folder + "/mended")
            // Once its back-off is over.
            #expect(try await eventually { try await client.call("echo", ["text": "x"]).text == "x" })
        }
    }

    @Test func aCrashEndsItWhereThatIsWanted() async throws {
        try await BridgeRig.run(["--exit-on-crash"]) { bridge in
            let answer = try await bridge.client().call("crash")
            #expect("\(answer.json)".contains("about to crash"), "\(answer.json)")
            #expect(await bridge.says("berth: the server crashed: the server exited with status"), "\(bridge.lines)")
            #expect(await bridge.process.end(0) == 1)
        }
    }

    /// One may crash while another still comes up.
    @Test func aCrashCountsFromTheFirstAnswerOn() async throws {
        let brief = """
            import json, sys
            for line in sys.stdin:
                request = json.loads(line)
                if "id" not in request: continue
                about = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "brief", "version": "1"}}
                results = {"initialize": about, "tools/list": {"tools": []}}
                if request["method"] not in results: answer = {"error": {"code": -32601, "message": "no"}}
                else: answer = {"result": results[request["method"]]}
                print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}), flush=True)
                if request["method"] == "tools/list": sys.exit(7)
            """
        let config = """
            {"mcpServers": {
             "brief": {"command": "\(BridgeRig.python)", "args": ["%/brief.py"]},
             "late": {"command": "\(BridgeRig.python)", "args": ["\(Repository.fixture("never_ready.py"))"]}}}
            """
        try await withFolder(["brief.py": brief]) { folder in
            try writeFile(config.replacingOccurrences(of: "%", with: folder), to: folder + "/two.json")
            try await BridgeRig.run(["--exit-on-crash", "--config", folder + "/two.json"], command: []) { bridge in
                #expect(await bridge.says("berth: the server crashed: brief: the server exited with status 7"), "\(bridge.lines)")
                #expect(await bridge.process.end(0) == 1)
            }
        }
    }

    // MARK: --config

    /// Beside one that can be started, it ends nothing.
    @Test func aScriptWithoutItsInterpreterIsNamedWithIt() async throws {
        let config = """
            {"servers": {"moved": {"command": "%/moved"}, "one": {"command": "\(BridgeRig.python)", "args": ["\(Repository.fixture("fixture.py"))"]}}}
            """
        try await withFolder(["moved": "#!/gone/python\n"]) { folder in
            chmod(folder + "/moved", 0o700)
            try writeFile(config.replacingOccurrences(of: "%", with: folder), to: folder + "/mcp.json")
            try await BridgeRig.run(["--config", folder + "/mcp.json"], command: []) { bridge in
                #expect(await bridge.says("/one/mcp serves 27 tools"), "\(bridge.lines)")
                let reason = "spawn \(folder)/moved, whose first line (#!) names /gone/python, which is not there"
                #expect(bridge.process.output.contains("/moved/mcp serves nothing of moved yet: the server could not be started: \(reason)"), "\(bridge.lines)")
            }
        }
    }

    @Test func theServersOfAFile() async throws {
        let fixture = Repository.fixture("fixture.py")
        let config = """
            {"mcpServers": {
             "one": {"command": "\(BridgeRig.python)", "args": ["\(fixture)"], "env": {"WHO": "one"}},
             "two": {"type": "stdio", "command": "python3", "args": ["\(fixture)"], "env": {"WHO": "two"}, "colour": 1},
             "bad": {"command": "/bin/false"}, "gone": {"command": "nosuch"}, "far": {"url": "https://example.org/mcp"}}}
            """
        try await BridgeRig.run(["--config", "%/servers.json"], files: ["servers.json": config], command: []) { bridge in
            #expect(await bridge.says("/gone/mcp serves nothing"), "\(bridge.lines)")
            let text = bridge.process.output
            for line in [
                "/one/mcp serves ", "/two/mcp serves ", "/bad/mcp serves nothing of bad yet: the server exited with status 1",
                "/gone/mcp serves nothing of gone yet: the server could not be started: no program nosuch in",
                "servers.json: two: colour is not understood", "servers.json: far has a url and is left out",
            ] { #expect(text.contains(line), "\(line) in \(text)") }
            let base = try await bridge.url().replacingOccurrences(of: "/one/mcp", with: "")
            var pids: Set<Int> = []
            for name in ["one", "two"] {
                let found = try await RawClient(url: "\(base)/\(name)/mcp", token: nil).identity()
                #expect((found["environment"] as? [String: String])?["WHO"] == name)
                pids.insert(found["pid"] as? Int ?? 0)
            }
            #expect(pids.count == 2)
            #expect("\(try await RawClient(url: "\(base)/bad/mcp", token: nil).call("echo").json)".contains("exited with status 1"))
            #expect(try await RawClient(url: "\(base)/far/mcp", token: nil).call("echo").status == 404)
            let list = try await Command.run(["/usr/bin/curl", "-s", base + "/"])
            let paths = (list.lastJSON?["endpoints"] as? [[String: Any]])?.map { $0["mcp"] as? String }
            #expect(paths == ["/one/mcp", "/two/mcp", "/bad/mcp", "/gone/mcp"])
            #expect(await bridge.process.end(SIGTERM) == 0)
            for pid in pids { #expect(kill(pid_t(pid), 0) != 0) }
        }
    }

    // MARK: --watch, --trace, --log-json

    @Test func aChangedFileMakesANewProcess() async throws {
        let server = try String(contentsOfFile: Repository.fixture("fixture.py"), encoding: .utf8)
        try await BridgeRig.run(
            ["--watch", "--cwd", "%/src"], files: ["src/server.py": server, "src/.git/HEAD": "1"],
            command: [BridgeRig.python, "-B", "%/src/server.py"]
        ) { bridge in
            let client = try await bridge.client()
            let first = try await client.pid()
            try writeFile("2", to: bridge.folder + "/src/.git/HEAD")
            try writeFile(server + "\n# changed\n", to: bridge.folder + "/src/server.py")
            #expect(await bridge.says("server.py changed: "), "\(bridge.lines)")
            #expect(try await eventually { try await client.pid() != first })
            #expect(!bridge.process.output.contains("HEAD") && !bridge.process.output.contains("exited"), "\(bridge.lines)")
        }
    }

    @Test func messagesAreLinesOfJSON() async throws {
        let arguments = ["--trace-bodies", "--log-json", "--env-file", "%/env", "--json"]
        try await BridgeRig.run(arguments, files: ["env": "API_KEY=hunter22"]) { bridge in
            let ready = try await bridge.process.line { $0.contains(#""event":"ready""#) }
            let url = try #require(try JSONSerialization.jsonObject(with: Data(ready.utf8)) as? [String: Any])["url"] as? String
            #expect(try await RawClient(url: url ?? "", token: nil).call("echo", ["text": "hunter22"]).text == "hunter22")
            let lines = try bridge.lines.filter { $0 != ready }.map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
            let traces = lines.filter { $0?["level"] as? String == "trace" }.compactMap { $0?["message"] as? String }
            #expect(traces.contains { $0.contains("→ tools/call id ") && $0.contains(#""text":"***""#) }, "\(traces)")
            #expect(traces.contains { $0.contains("← result of tools/call id ") && $0.contains(" ms, ") }, "\(traces)")
            #expect(!bridge.process.output.contains("hunter22"))
        }
    }
}
