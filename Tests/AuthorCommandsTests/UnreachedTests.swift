import MCP
import RemoteClient
import Testing

@testable import AuthorCommands

/// What people are told of a server that does not answer, and of a URL that is none.
@Suite struct UnreachedTests {
    private static let url = "http://h:1/mcp"

    private static func unreached(
        _ reason: String, status: Int? = nil, url: String? = url, token: Bool = false, _ kind: Undelivered.Kind
    ) -> Unreached {
        let address = url.flatMap { RemoteAddress($0) }
        return Unreached(Undelivered(kind, reason), status: status, address: address, name: url ?? "./server", hasToken: token)
    }

    @Test(arguments: [
        (
            "cannot connect to http://h:1: Connection refused (errno: 111)", nil, false,
            "nothing listens at http://h:1/mcp — alone bridge prints the URL"
        ),
        (
            "cannot connect to http://h:1: Network is unreachable (errno: 101)", nil, false,
            "http://h:1/mcp cannot be reached: Network is unreachable — alone bridge prints the URL"
        ),
        (
            "cannot connect to http://h:1: no address is known of h", nil, false,
            "http://h:1/mcp cannot be reached: no address is known of h — is the host's name written right?"
        ),
        ("read: Connection reset by peer (errno: 104)", nil, false, broken), ("bad answer: invalid status line", nil, false, broken),
        ("the connection closed without an answer", nil, false, broken),
        ("the server answered HTTP 400: that port speaks HTTPS", 400, false, "http://h:1/mcp speaks TLS — it is https://h:1…"),
        ("the server answered HTTP 401", 401, false, "the server answered HTTP 401 — give a token with --token-file or BERTH_TOKEN"),
        ("the server answered HTTP 401", 401, true, "the server answered HTTP 401 — the token is not good: mistyped, revoked or expired"),
        ("the server answered HTTP 429", 429, false, "the server answered HTTP 429 — it has too much to do: try again later"),
        ("the server answered HTTP 502", 502, false, "the server answered HTTP 502 — its own log says why"),
        (
            "the server does not speak 2026-07-28: it answered\nnoise", nil, false,
            "the server does not speak 2026-07-28: it answered — --era auto asks a server what it speaks, "
                + "--era legacy is for those before 2026-07-28"
        ),
        // Nothing more is known of it than it says.
        ("the server ended the session", nil, false, "the server ended the session"),
    ] as [(String, Int?, Bool, String)])
    func aClientIsToldWhatToDo(_ reason: String, _ status: Int?, _ token: Bool, _ told: String) {
        let found = Self.unreached(reason, status: status, token: token, .notDelivered).told
        // The program's name is that of the tests.
        #expect(found.reason.replacing("\(Program.name) bridge", with: "alone bridge") == told && found.kind == .notDelivered)
    }

    private static let broken =
        "http://h:1/mcp broke the connection off — does it speak TLS there? then it is https://h:1…, else: is it an MCP server?"

    @Test(arguments: [
        ("it broke", .notDelivered, url, "the call failed: it broke — is it an MCP server?"),
        ("it broke", .outcomeUnknown, url, "the call failed: it broke — it may have acted on the call"),
        // Not before it had answered others.
        ("reset (errno: 104)", .outcomeUnknown, url, "the call failed: reset (errno: 104) — it may have acted on the call"),
        ("it broke", .notDelivered, "http://h/mpc", "the call failed: it broke — is it an MCP server? did you mean http://h/mcp?"),
        (
            "the server exited with status 1", .notDelivered, nil,
            "the call failed: the server exited with status 1 — what it wrote last is above, if anything; "
                + "--env K=V and --env-file FILE give it variables"
        ),
        // A bridge passes its last words on.
        (
            "the server exited with status 1\nTraceback\n  File \"x\"\nboom", .outcomeUnknown, url,
            "the call failed: the server exited with status 1; its last words: File \"x\" | boom — it may have acted on the call"
        ),
    ] as [(String, Undelivered.Kind, String?, String)])
    func aCommandEndsWithIt(_ reason: String, _ kind: Undelivered.Kind, _ url: String?, _ line: String) {
        #expect(Self.unreached(reason, url: url, kind).failure.line == line)
    }

    /// Of which people are told the end, and programs all.
    @Test func aBridgesAnswerKeepsTheCause() {
        let noise = (0..<40).map { "  File \"\($0).py\", line \($0)\n    a_long_line_of_a_traceback()\n" }.joined()
        let message = "the server exited with status 7\n" + noise + "ValueError: no name\nabout to crash\n"
        let failure = Unreached.failure(answered: MCPError(code: MCPError.Code.outcomeUnknown, message: message), hint: "hm")
        #expect(
            failure.line == "the call failed: the server exited with status 7; its last words: File \"39.py\", line 39 | "
                + "a_long_line_of_a_traceback() | ValueError: no name | about to crash — hm")
        #expect(failure.message == "the call failed: " + message)
        let own = Unreached.failure(answered: MCPError(code: -32_602, message: "a\nb"), hint: "hm")
        #expect(own.line == "the call failed: a b — hm", "what a server answers itself is no last word")
    }

    @Test(arguments: [
        ("http://me:pw@h/mcp", "'http://…@h/mcp' has a user's name or password in it"), ("http://h:0/", "'http://h:0/' has no port that there is: 0"),
        ("http://h:x/", "'http://h:x/' has no port that there is: x"), ("http:///mcp", "'http:///mcp' names no host"),
        ("http://h:1:2/", "'http://h:1:2/' is no URL"), ("http://h/ü", "'http://h/ü' is no URL"),
    ])
    func whatIsNoURLIsTold(_ url: String, _ message: String) {
        #expect(RemoteAddress(url) == nil && TypedURL.failure(url).message == message)
    }

    @Test(arguments: [
        ("http:/h:1/mcp", "http://h:1/mcp"), ("https:h", "https://h"), ("HTTP:/me:pw@h", "HTTP://…@h"), ("h:1/mcp", nil), ("http:", nil),
        ("ftp:/h", nil),
    ] as [(String, String?)])
    func slashesAreAdded(_ word: String, _ url: String?) { #expect(TypedURL.withSlashes(word) == url) }

    @Test(arguments: [
        ([], nil), (["[1] x", "server process 1 exited with status 1"], nil),
        (["not a message on the server's stdout: Your name?"], "what it prints on standard output may be a question"),
        // Dots before an answer, and one over several lines.
        (["not a message on the server's stdout: ..{\"jsonrpc\":\"2.0\"}", "not a message on the server's stdout: x"], "a message of the server"),
        (["not a message on the server's stdout: {", "not a message on the server's stdout:  \"jsonrpc\": \"2.0\","], "a message of the server"),
    ] as [([String], String?)])
    func whatItPrintsMayBeWhyItDoesNotAnswer(_ lines: [String], _ hint: String?) {
        let log = ServerLog(isShown: false)
        for line in lines { log.take(line) }
        #expect(hint.map { log.noiseHint?.hasPrefix($0) == true } ?? (log.noiseHint == nil))
    }

    /// One that was started twice has mostly said the same twice.
    @Test func linesOfTheLastProcessAreTold() {
        let lines = ["[1] boom", "server process 1 exited with status 1", "[2] boom", "server process 2 exited with status 1"]
        #expect(ServerLog.ofLastProcess(lines) == [lines[1], lines[2], lines[3]])
        #expect(ServerLog.ofLastProcess(["x"]) == ["x"])
    }
}
