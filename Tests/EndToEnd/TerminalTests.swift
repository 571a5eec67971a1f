import Foundation
import TestSupport
import Testing

/// The quick checks from a terminal: `call`, `tools`, `prompts`, `resources`, `read`, `prompt`, `complete`, `inspect`.
@Suite struct TerminalTests {
    static let python = "/usr/bin/python3"

    static func berth(_ arguments: [String], environment: [String: String] = [:]) async throws -> CommandResult {
        try await Command.run([Repository.binary("berth")] + arguments, environment: environment, seconds: 120)
    }

    /// The words with which a command reaches a fixture.
    private static func local(_ fixture: String) -> [String] { ["--", python, Repository.fixture(fixture)] }

    @Test(arguments: [("fixture.py", "2025-11-25 (legacy)"), ("modern.py", "2026-07-28 (modern)")])
    func aCommandIsAServer(_ fixture: String, _ protocolLine: String) async throws {
        let inspected = try await Self.berth(["inspect"] + Self.local(fixture))
        #expect(inspected.status == 0 && inspected.output.contains(protocolLine) && inspected.output.contains("27 tools"), "\(inspected)")
        let called = try await Self.berth(["call", "progress"] + Self.local(fixture))
        #expect(called.status == 0 && called.output == "done\n", "\(called)")
        #expect(called.errors.contains("berth: progress 2/3 step 2\n"), "\(called)")
        let missing = try await Self.berth(["call", "ecko", "--json"] + Self.local(fixture))
        #expect(missing.status == 1 && missing.errors.contains("did you mean 'echo'?") && missing.lastJSON?["event"] as? String == "failed", "\(missing)")
    }

    @Test func numbersStayAsTheyWereWritten() async throws {
        let arguments = #"{"n":1.50,"big":12345678901234567890,"e":1E+2}"#
        for fixture in ["fixture.py", "modern.py"] {
            let plain = try await Self.berth(["call", "raw", arguments] + Self.local(fixture))
            #expect(plain.status == 0 && plain.output == arguments + "\n", "\(plain)")
            let json = try await Self.berth(["call", "raw", arguments, "--json"] + Self.local(fixture))
            let quoted = arguments.replacingOccurrences(of: "\"", with: "\\\"")
            #expect(json.status == 0 && json.output.hasSuffix(#""content": [{"type": "text", "text": "\#(quoted)"}]}"# + "\n"), "\(json)")
        }
    }

    @Test func aQuestionIsDeclinedAnsweredOrRefused() async throws {
        let form = #"{"params":{"message":"how old?","requestedSchema":{"type":"object","properties":{"age":{"type":"integer"}},"required":["age"]}}}"#
        let declined = try await Self.berth(["call", "ask", form] + Self.local("fixture.py"))
        #expect(declined.output.contains("decline") && declined.errors.contains("declined what the server asks ('how old?')"), "\(declined)")
        let answered = try await Self.berth(["call", "ask", form, "--answers", #"{"age": 41}"#] + Self.local("fixture.py"))
        #expect(answered.output == "[{\"action\": \"accept\", \"content\": {\"age\": 41}}]\n", "\(answered)")
        let more = try await Self.berth(["call", "ask", form, "--answers", #"{"age": 41, "name": "Ann"}"#] + Self.local("fixture.py"))
        #expect(more.output == answered.output && more.errors == "berth: warning: --answers has name, which nothing asked for\n", "\(more)")
        let wrong = try await Self.berth(["call", "ask", form, "--answers", #"{"age": "old"}"#] + Self.local("fixture.py"))
        #expect(wrong.status == 64 && wrong.errors.contains("age must be a number"), "\(wrong)")
        let misspelt = try await Self.berth(["call", "ask", form, "--answers", #"{"agee": 41}"#] + Self.local("fixture.py"))
        #expect(misspelt.status == 64 && misspelt.output.isEmpty, "\(misspelt)")
        #expect(
            misspelt.errors
                == "berth: --answers has agee, which the server does not ask for here — did you mean age? it asks for age (integer; required); "
                    + "where that is for a later question, give these too (null takes a default)\n",
            "\(misspelt)")
        let sampling = try await Self.berth(["call", "ask", #"{"method":"sampling/createMessage"}"#] + Self.local("fixture.py"))
        #expect(sampling.output.contains("Method not found"), "\(sampling)")
    }

    @Test(arguments: [
        ("forty|41|green", 0, #""content": {"age": 41, "colour": "green"}"#), ("|41|", 0, #""content": {"age": 41, "colour": "red"}"#),
        ("decline", 0, #"{"action": "decline"}"#), ("41|cancel", 0, #"{"action": "cancel"}"#), ("^C", 130, "age (integer; required): "),
    ] as [(String, Int32, String)])
    func aQuestionIsAskedOnTheTerminal(_ typed: String, _ status: Int32, _ says: String) async throws {
        let form =
            #"{"params":{"message":"who?","requestedSchema":{"type":"object","required":["age"],"properties":{"age":{"type":"integer"},"#
            + #""colour":{"type":"string","enum":["red","green"],"default":"red"}}}}}"#
        let result = try await Command.run(
            [Self.python, Repository.fixture("terminal.py"), typed, Repository.binary("berth"), "call", "ask", form] + Self.local("fixture.py"),
            seconds: 120)
        #expect(result.status == status && result.output.contains(says), "\(result)")
    }

    /// What it is told in its handshake is what the calls after it declare.
    @Test func aServerIsStartedOnceToBeInspected() async throws {
        try await withFolder(["start.sh": "echo start >> \"$0.log\"; exec \(Self.python) \(Repository.fixture("fixture.py"))"]) { folder in
            let inspected = try await Self.berth(["inspect", "--", "/bin/sh", folder + "/start.sh"])
            #expect(inspected.status == 0 && inspected.output.contains("tools"), "\(inspected)")
            #expect(try String(contentsOfFile: folder + "/start.sh.log", encoding: .utf8) == "start\n")
        }
    }

    @Test func anInterruptionCancelsTheCallAndLeavesNothing() async throws {
        try await withFolder { folder in
            let mark = folder + "/server.py"
            try FileManager.default.copyItem(atPath: Repository.fixture("fixture.py"), toPath: mark)
            let call = try Background([Repository.binary("berth"), "call", "progress_then_wait", "--", Self.python, mark], in: folder)
            defer { call.end() }
            _ = try await call.line { $0.contains("progress 1 started") }
            #expect(await call.end(SIGINT) == 130)
            let left = try await Command.run(["/usr/bin/pgrep", "-f", mark])
            #expect(left.output.isEmpty, "\(left)")
        }
    }

    /// In a call that goes on telling of its progress, in one that never answers, and before there is any answer.
    @Test(arguments: [("call", "progress_then_wait", "fixture.py", "tools/call"), ("inspect", nil, "never_ready.py", "initialize"),
        ("tools", nil, "never_ready.py", "tools/list")] as [(String, String?, String, String)])
    func aRequestMayTakeSoLong(_ command: String, _ tool: String?, _ fixture: String, _ method: String) async throws {
        let words = [command] + [tool].compactMap(\.self) + ["--timeout", "2"]
        let result = try await Self.berth(words + Self.local(fixture))
        #expect(result.status == 1, "\(result)")
        #expect(result.errors.contains("berth: no answer to \(method) within 2 s: it was cancelled — --timeout SECONDS waits longer"), "\(result)")
    }

    /// It declares prompts and has no list of them.
    @Test func aListThatFailsIsToldBesideTheOthers() async throws {
        let result = try await Self.berth(["inspect", "--", Self.python, Repository.fixture("faulty.py"), "no_version"])
        #expect(result.status == 0 && result.output.contains("offers        1 tool\n"), "\(result)")
        #expect(result.errors.hasPrefix("berth: prompts/list failed, though prompts is declared: "), "\(result)")
    }

    /// It has read our first message as the answer to its question.
    @Test func aServerThatAsksOnItsTerminalIsToldApart() async throws {
        let result = try await Self.berth(["tools", "--timeout", "2"] + Self.local("asks_first.py"))
        #expect(result.status == 1 && result.errors.contains("not a message on the server's stdout: Your name?"), "\(result)")
        #expect(result.errors.contains(" — what it prints on standard output may be a question, to which it took our message"), "\(result)")
    }

    /// What a bridge that is there says is more than a guess.
    @Test func aURLWithoutItsEndIsMended() async throws {
        try await BridgeRig.run([]) { rig in
            let url = try await rig.url()
            for typed in ["", "/", "/mpc", "/mcp/"] {
                let result = try await Self.berth(["tools", url.dropLast(4) + typed])
                #expect(result.errors.hasSuffix("HTTP 404: MCP is served at /mcp — did you mean \(url)?\n"), "\(typed) \(result)")
            }
        }
    }

    /// It may have acted on the call before it failed.
    @Test func aServersOwnFailureLeavesTheOutcomeOpen() async throws {
        let server = """
            import json
            from http.server import BaseHTTPRequestHandler, HTTPServer
            class Failing(BaseHTTPRequestHandler):
                def do_POST(self):
                    message = json.loads(self.rfile.read(int(self.headers["content-length"])))
                    if "id" not in message: return self.tell(202, {})
                    if message["method"] == "tools/call": return self.tell(500, {})
                    if message["method"] != "initialize": return self.tell(404, {})
                    result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "f", "version": "1"}}
                    self.tell(200, {"jsonrpc": "2.0", "id": message["id"], "result": result})
                def do_GET(self): self.tell(405, {})
                def tell(self, status, value):
                    body = json.dumps(value).encode()
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                def log_message(self, *rest): pass
            server = HTTPServer(("127.0.0.1", 0), Failing)
            print("http://127.0.0.1:%d/mcp" % server.server_port, flush=True)
            server.serve_forever()
            """
        try await withFolder(["server.py": server]) { folder in
            let process = try Background([Self.python, folder + "/server.py"], in: folder)
            defer { process.end() }
            let url = try await process.line { $0.hasPrefix("http://") }
            let failed = try await Self.berth(["call", url, "t"])
            #expect(failed.status == 1 && failed.errors.contains("HTTP 500 — it may have acted on the call"), "\(failed)")
        }
    }

    private static let noObject = "the arguments are no JSON object"

    @Test(arguments: [
        (["connect", "foo"], "'foo' is not http://HOST:PORT/… or https://HOST/… — the whole URL, for example *", 64),
        (["connect", "ftp://x/mcp"], "'ftp://x/mcp' is not http://HOST:PORT/… or https://HOST/… — MCP is spoken over http and https*", 64),
        (["bridge", "--", "nosuch"], "no program nosuch in your PATH, nor in /usr/local/bin:/usr/bin:/bin — *", 1),
        (["tools"], "neither a URL nor a server's command is given — *", 64), (["call", "http://127.0.0.1:1/mcp"], "TOOL is missing — *", 64),
        (
            ["tools", "/bin/sh"],
            "'/bin/sh' is not http://HOST:PORT/… or https://HOST/… — put the server's command after --: berth tools -- /bin/sh\n*", 64
        ),
        (["tools", "python3", "s.py"], "unexpected argument 's.py' — put the server's command after --: berth tools -- python3 server.py\n*", 64),
        (["tools", "ws://x/mcp"], "'ws://x/mcp' is not http://HOST:PORT/… or https://HOST/… — *", 64),
        (["tools", "http://127.0.0.1:1/mcp", "--", "x"], "both a URL and a server's command are given — *", 64),
        (["read", "--", "nosuch"], "RESOURCE is missing — *", 64), (["tools", "--", "nosuch"], "no program nosuch in *", 1),
        (["prompt", "http://127.0.0.1:1/mcp", "p", "[1]"], "the arguments are no JSON object — *", 64),
        (["call", "http://127.0.0.1:1/mcp", "t", "--answers", "x"], "--answers is no JSON object: column 1: unexpected byte — *", 64),
        (["tools", "http://127.0.0.1:1/mcp", "--timeout", "86401"], "--timeout 86401 is out of range — *", 64),
        (["tools", "http://127.0.0.1:1/mcp", "--timeout", "soon"], "--timeout 'soon' is no time — 30s, 5m, or seconds, *", 64),
        // What would have no effect is not passed over.
        (["tools", "http://127.0.0.1:1/mcp", "--env", "A=1"], "--env is for a server that is started here, and a URL is given — *", 64),
        (["tools", "http://127.0.0.1:1/mcp", "--cwd", "/"], "--cwd is for a server that is started here, *", 64),
        (["tools", "http://127.0.0.1:1/mcp", "--era", "auto"], "--era is for a server that is started here, *", 64),
        (["tools", "--token-file", "none", "--", "/bin/cat"], "--token-file is for a URL, and a server's command is given — *", 64),
        (["tools", "http:/127.0.0.1:1/mcp"], "'http:/127.0.0.1:1/mcp' is not http://HOST:PORT/… or https://HOST/… — write http://127*", 64),
        (["tools", "http://127.0.0.1:99999/mcp"], "'http://127.0.0.1:99999/mcp' has no port that there is: 99999 — 1 to 65535*", 64),
        (["tools", "http://me:s3cret@127.0.0.1:1/mcp"], "'http://…@127.0.0.1:1/mcp' has a user's name or password in it — *", 64),
        (["tools", "http://nosuch.invalid/mcp"], "http://nosuch.invalid/mcp cannot be reached: *", 1),
        (
            ["call", "/bin/sh", "s.py", "add", "{}"],
            "unexpected argument '{}' — put the server's command after --: berth call TOOL '{…}' -- /bin/sh\n*", 64
        ),
        (["call", "http://127.0.0.1:1/mcp", "t", "{a:1}"], "\(noObject): column 2: unexpected byte — keys stand in double quotes, *", 64),
        (["call", "http://127.0.0.1:1/mcp", "t", #"{"a":1,"a":3}"#], "\(noObject): column 8: duplicate key — for example *", 64),
        (["inspect", "http://127.0.0.1:1/mcp"], "nothing listens at http://127.0.0.1:1/mcp — *", 1),
    ] as [([String], String, Int32)])
    func mistakesAreOneLine(_ arguments: [String], _ says: String, _ status: Int32) async throws {
        let result = try await Self.berth(arguments)
        #expect(result.status == status && result.errors.hasPrefix("berth: " + says.dropLast()), "\(result)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result)")
    }
}

/// The same against a server of the handshake revisions over HTTP, which refuses the modern request.
@Suite(.enabled(if: FileManager.default.fileExists(atPath: Repository.python(mcp: "1.30.0")), "needs the SDK 1.30.0"))
struct LegacyRemoteTests {
    /// A server for the length of `body`.
    static func serve(_ body: (_ url: String, _ tokenFile: String, _ log: () -> String) async throws -> Void) async throws {
        try await withFolder(["token": "tok-1\n"]) { folder in
            let server = try Background(
                [Repository.python(mcp: "1.30.0"), Repository.fixture("legacy_http.py")], environment: ["BERTH_FIXTURE_TOKEN": "tok-1"], in: folder)
            defer { server.end() }
            let url = try await server.line { $0.hasPrefix("http://") }
            try await body(url, folder + "/token") { server.output }
        }
    }

    @Test func everyCommandFallsBack() async throws {
        try await Self.serve { url, token, log in
            func run(_ arguments: String...) async throws -> CommandResult { try await TerminalTests.berth(arguments + ["--token-file", token]) }
            let refused = try await TerminalTests.berth(["tools", url])
            #expect(refused.status == 1 && refused.errors.contains("HTTP 401") && refused.errors.contains("--token-file"), "\(refused)")

            let inspected = try await run("inspect", url)
            #expect(inspected.output.contains("2025-11-25 (legacy)") && inspected.output.contains("3 tools, 1 prompt, 2 resources, 1 resource template"))
            let counted = try await run("call", url, "count")
            #expect(counted.output == "counted\n" && counted.errors.contains("step 3"), "\(counted)")
            let greeted = try await run("call", url, "greet", "--answers", #"{"name":"Ann"}"#)
            #expect(greeted.output == "accept name='Ann' age=7\n", "\(greeted)")
            #expect(try await run("read", url, "data://text").output == "a text\n")
            #expect(try await run("read", url, "data://of/me").output == "of me\n")
            #expect(try await run("prompt", url, "review", #"{"code":"x"}"#).output == "user: Please review x\n")
            #expect(try await run("complete", url, "review", "code", "a").output == "a-one\na-two\n")
            #expect(try await run("resources", url).output.contains("data://of/{name} (text/plain)"))
            #expect(try await run("prompts", url, "--json").output.contains(#""name":"review""#))

            let bytes = try await run("read", url, "data://bytes")
            #expect(bytes.output.hasPrefix("[data://bytes: application/x-bytes, 256 bytes"), "\(bytes)")
            let file = token + ".bin"
            #expect(try await run("read", url, "data://bytes", "--output", file).status == 0)
            #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == Data(0...255))
            // One session for each command, deleted by it.
            let methods = log().split(separator: "\n")
            #expect(methods.count { $0 == "DELETE" } == 11, "\(methods)")
        }
    }
}
