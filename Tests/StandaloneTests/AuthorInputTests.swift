import Foundation
import MCP
import Testing

@testable import Standalone
@testable import StdioBridge

/// What authors write for `berth bridge`, as tables.
@Suite struct AuthorInputTests {
    private func refusal(_ parse: () throws -> Void) -> String? {
        do {
            try parse()
            return nil
        } catch {
            return (error as? StandaloneInputError)?.message ?? "\(error)"
        }
    }

    // MARK: --env-file

    @Test(arguments: [
        ("A=1", "A=1"), ("", ""), ("# no\n\n  A=1  \r\nB=two words", "A=1|B=two words"), ("export A=1", "A=1"), ("A=", "A="),
        ("A = 1 # why", "A=1"), ("A=a#b", "A=a#b"), ("A=#", "A="), ("A='x # $y \\n'  # c", "A=x # $y \\n"),
        (#"A="a\n\"b\" \\ \$c \d""#, "A=a\n\"b\" \\ $c \\d"), ("A=b=c", "A=b=c"), ("\u{FEFF}A=1", "A=1"), ("A=\"\"", "A="),
    ])
    func environmentFiles(text: String, wanted: String) throws {
        let found = try EnvironmentFile.parse(Array(text.utf8), file: "f")
        #expect(found.map { "\($0.name)=\($0.value)" }.joined(separator: "|") == wanted)
    }

    @Test(arguments: [
        ("x\nA", "f:1: not of the form NAME=VALUE"), ("A=1\n\n=secret", "f:3: no name of a variable before ="),
        ("1A=secret", "f:1: no name of a variable before ="), ("A=1\nA=2", "f:2: A is given twice"), ("A='secret", "f:1: the quote has no end"),
        ("A=\"secret\" more", "f:1: something follows the closing quote"), ("A=\u{0}", "f:1: not UTF-8 text"),
    ])
    func badEnvironmentFiles(text: String, wanted: String) {
        let found = refusal { _ = try EnvironmentFile.parse(Array(text.utf8), file: "f") }
        #expect(found == wanted && found?.contains("secret") == false)
    }

    // MARK: --idle

    @Test(arguments: [
        ("30s", 30), ("15m", 900), ("2h", 7200), ("45", 45), ("1", 1), ("168h", 604_800), ("169h", nil), ("0", nil), ("-1", nil), ("", nil),
        ("h", nil), ("1d", nil), ("1.5h", nil), ("99999999999999999999", nil), ("1 h", nil),
    ] as [(String, Int64?)])
    func idleTimes(text: String, wanted: Int64?) {
        #expect(IdleTime.seconds(text) == wanted)
    }

    // MARK: --token-file

    private static let alice = "alice-0123456789abcdef"
    private static let nobody = "0123456789abcdef"

    @Test(arguments: [
        (["Bearer \(alice)"], "alice"), (["bearer  \(alice) "], "alice"), (["Bearer \(nobody)"], "token-3"), ([], nil),
        (["Bearer \(alice)x"], nil), (["Bearer \(nobody.dropLast())X"], nil), (["Basic \(alice)"], nil), ([alice], nil), (["Bearer "], nil),
        (["Bearer \(alice)", "Bearer \(alice)"], nil),
    ] as [([String], String?)])
    func tokens(headers: [String], wanted: String?) throws {
        let tokens = try BearerTokens(parsing: Array("# team\nalice \(Self.alice)\n\(Self.nobody)\n".utf8), file: "f")
        #expect(tokens.count == 2 && tokens.principal(authorization: headers) == wanted)
    }

    @Test(arguments: [
        ("", "f holds no token"), ("# only\n", "f holds no token"), ("0123456789abcde", "f:1: the token has fewer than 16 characters"),
        ("a b \(alice)", "f:1: not of the form TOKEN or NAME TOKEN"), ("\(alice)\nbob \(alice)", "f:2: the token is there twice"),
        ("alice-0123456789äbcdef", "f:1: the token holds characters that no header can carry"),
        ("älice \(alice)", "f:1: the name is no name"),
    ])
    func badTokens(text: String, wanted: String) {
        let found = refusal { _ = try BearerTokens(parsing: Array(text.utf8), file: "f") }
        #expect(found == wanted && found?.contains("0123") == false)
    }

    // MARK: --config

    @Test func aClientsFile() throws {
        let file = try ServersFile(
            parsing: Array(
                """
                {"globalShortcut": "x", "mcpServers": {
                 "time": {"type": "stdio", "command": "mcp-server-time", "args": ["--local-timezone", "UTC"], "env": {"TZ": "UTC"}, "cwd": "/tmp"},
                 "there": {"url": "https://example.org/mcp"},
                 "plain": {"command": "x", "disabled": false}}}
                """.utf8), file: "f")
        #expect(
            file.servers == [
                .init(
                    name: "time", command: "mcp-server-time", arguments: ["--local-timezone", "UTC"], environment: ["TZ": "UTC"], directory: "/tmp"),
                .init(name: "plain", command: "x"),
            ])
        #expect(
            file.remarks == [
                "f: globalShortcut is not understood", "f: there has a url and is left out: it needs no bridge",
                "f: plain: disabled is not understood",
            ])
    }

    /// Another name for the object, comments, and variables that it alone fills in.
    @Test func vsCodesFileIsOneToo() throws {
        let text = """
            {
              // mine
              "servers": {"time": {"type": "stdio", "command": "x", "args": ["${input:zone}",],}, "b": {"command": "y"}, /* "c": {} */},
              "inputs": [],
            }
            """
        let file = try ServersFile(parsing: Array(text.utf8), file: "f")
        #expect(file.servers == [.init(name: "time", command: "x", arguments: ["${input:zone}"]), .init(name: "b", command: "y")])
        #expect(file.remarks == ["f: inputs is not understood", "f: time: ${…} stands for nothing here, and is passed on as it is"])
    }

    /// Its settings, which hold much else.
    @Test func vsCodesSettingsAreOneToo() throws {
        let text = #"{"editor.fontSize": 12, "mcp": {"inputs": [], "servers": {"a": {"command": "x"}}}}"#
        let file = try ServersFile(parsing: Array(text.utf8), file: "f")
        #expect(file.servers == [.init(name: "a", command: "x")] && file.remarks.isEmpty)
    }

    @Test(arguments: [
        ("{\n \"a\": x}", "f is no JSON: line 2, column 7: unexpected byte"), ("[]", "f has no object mcpServers, nor servers"),
        (#"{"mcpServers": [], "servers": {"a": {"command": "x"}}}"#, "f has no object mcpServers, nor servers"),
        (#"{"mcpServers": {}}"#, "f names no server to start"),
        (#"{"mcpServers": {"a/b": {"command": "x"}}}"#, "f: 'a/b' is no name for a server"),
        (#"{"mcpServers": {"": {"command": "x"}}}"#, "f: '' is no name for a server"),
        (#"{"mcpServers": {"a": 1}}"#, "f: a is no object"), (#"{"mcpServers": {"a": {}}}"#, "f: a has no command"),
        (#"{"mcpServers": {"a": {"type": "sse", "command": "x"}}}"#, "f: a: type is not stdio"),
        (#"{"mcpServers": {"a": {"command": "x", "args": "y"}}}"#, "f: a: args is no list"),
        (#"{"mcpServers": {"a": {"command": "x", "args": [1]}}}"#, "f: a: args holds something else than strings"),
        (#"{"mcpServers": {"a": {"command": "x", "env": {"K": 1}}}}"#, "f: a: env has an entry that is no variable: K"),
        (#"{"mcpServers": {"a": {"command": "x", "env": {"1K=s3cret": "v"}}}}"#, "f: a: env has an entry that is no variable: 1K"),
        (#"{"mcpServers": {"a": {"command": ["cat", "x"]}}}"#, "f: a has a command that is no text"),
        (#"{"mcpServers": {"a": {"comand": "cat"}}}"#, "f: a has no command, but comand"),
        (#"{"mcpServers": {"a": {"command": "x", "env": []}}}"#, "f: a: env is no object"),
        (#"{"mcpServers": {"a": {"command": "x", "cwd": ""}}}"#, "f: a: cwd is no path"),
        (#"{"mcpServers": {"a": {"url": "x"}}}"#, "f names no server to start: all have a url"),
    ])
    func badFiles(text: String, wanted: String) {
        let found = refusal { _ = try ServersFile(parsing: Array(text.utf8), file: "f") } ?? "accepted"
        #expect(wanted.hasSuffix("*") ? found.hasPrefix(wanted.dropLast()) : found == wanted)
    }

    // MARK: What is printed

    @Test func linesForPeopleAndPrograms() {
        let line = StandaloneLine(.warning, "it \"died\"", server: "time")
        #expect(line.text == "time: it \"died\"")
        #expect(line.json(at: "T") == #"{"time":"T","level":"warning","message":"it \"died\"","server":"time"}"#)
        #expect(StandaloneLine(engine: "[7] text", server: nil) == StandaloneLine(.info, "[7] text"))
        #expect(StandaloneLine(.info, "x").json.wholeMatch(of: /\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",.*/) != nil)
    }

    @Test func aSecretIsMaskedInEveryForm() {
        let mask = SecretMask(values: ["a\"b/cd"])
        for text in ["a\"b/cd", #"a\"b/cd"#, "YSJiL2Nk", "a%22b%2Fcd", "a%22b%2fcd", "a%22b/cd"] {
            #expect(String(decoding: mask.masked(Array("<\(text)>".utf8)), as: UTF8.self) == "<***>", "\(text)")
        }
    }

    /// What stands before and after a secret moves its base64.
    @Test(arguments: ["", "u", "us", "use", "user:"], ["", "x", "xy", "xyz"]) func aSecretInsideBase64IsMasked(before: String, after: String) {
        let secret = "s3cr>t?value~~"
        let mask = SecretMask(values: [secret])
        let text = Base64.encode(Array((before + secret + after).utf8))
        for text in [text, text.replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")] {
            let masked = String(decoding: mask.masked(Array(text.utf8)), as: UTF8.self)
            // At each side a character may stay that holds a few bits of it.
            #expect(masked.contains("***") && masked.utf8.count <= text.utf8.count - 14, "\(text): \(masked)")
        }
        #expect(!String(decoding: mask.masked(Array("nothing of it".utf8)), as: UTF8.self).contains("***"))
    }
}
