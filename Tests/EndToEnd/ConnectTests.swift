import Foundation
import TestSupport
import Testing

/// `berth connect` with real SDKs as its STDIO clients: both eras on both sides.
@Suite(.enabled(if: FileManager.default.fileExists(atPath: Repository.python(mcp: "2.3.0")), "needs the SDKs"))
struct ConnectTests {
    /// What a client of the SDK saw.
    private func talk(_ sdk: String, _ mode: String, _ connect: [String]) async throws -> [String: Any] {
        let result = try await Command.run(
            [Repository.python(mcp: sdk), Repository.fixture("stdio_client.py"), mode, Repository.binary("berth"), "connect"] + connect, seconds: 120)
        return try #require(result.lastJSON, "\(result)")
    }

    static let clients = [("1.30.0", "legacy", "2025-11-25"), ("2.3.0", "legacy", "2025-11-25"), ("2.3.0", "auto", "2026-07-28")]

    @Test func aLegacyServerHasClientsOfBothEras() async throws {
        try await LegacyRemoteTests.serve { url, token, log in
            for (sdk, mode, version) in Self.clients {
                let seen = try await talk(sdk, mode, [url, "--token-file", token])
                #expect(seen["version"] as? String == version && seen["asked"] as? [String] == ["who?"], "\(seen)")
                #expect(seen["text"] as? [String: String] == ["count": "counted", "greet": "accept name='Ann' age=7"], "\(seen)")
                #expect((seen["progress"] as? [[Any]])?.count == 3, "\(seen)")
            }
            #expect(log().split(separator: "\n").count { $0 == "DELETE" } == Self.clients.count)
        }
    }

    @Test(arguments: ["fixture.py", "modern.py"])
    func aModernServerHasClientsOfBothEras(_ fixture: String) async throws {
        try await Self.bridge(fixture) { url in
            for (sdk, mode, version) in Self.clients {
                let seen = try await talk(sdk, mode, [url])
                let text = seen["text"] as? [String: String]
                #expect(seen["version"] as? String == version && text?["echo"] == "hé" && text?["progress"] == "done", "\(seen)")
                // The stateless fixture asks as only the others may, and is refused.
                #expect(text?["ask"]?.contains(fixture == "fixture.py" ? "Ann" : "Method not found") == true, "\(seen)")
            }
        }
    }

    /// A server of the SDK 2.x speaks both eras, and in the newer one its tools cannot ask by `ctx.elicit`: it is spoken to in its
    /// client's, or for every client in the one that its author says.
    @Test(arguments: [["--era", "legacy"], []]) func aServerOfBothErasAsksInTheOlderOne(era: [String]) async throws {
        let command = [Repository.python(mcp: "2.3.0"), Repository.fixture("sdk_server.py")]
        try await BridgeRig.run(era, command: command) { bridge in
            let url = try await bridge.url()
            for (sdk, mode, version) in Self.clients where !era.isEmpty || mode == "legacy" {
                let seen = try await talk(sdk, mode, [url])
                #expect(seen["version"] as? String == version && seen["asked"] as? [String] == ["who?"], "\(seen)")
                #expect((seen["text"] as? [String: String])?["ask"] == "accept Ann", "\(seen)")
            }
        }
    }

    @Test func aToolThatCannotAskIsToldHowItCan() async throws {
        let server = ["--", Repository.python(mcp: "2.3.0"), Repository.fixture("sdk_server.py")]
        let failed = try await TerminalTests.berth(["call", "ask"] + server)
        #expect(failed.status == 1 && failed.errors.contains(" — its tool asks its client while it runs, "), "\(failed)")
        let asked = try await TerminalTests.berth(["call", "ask", "--era", "legacy", "--answers", #"{"name": "Ann"}"#] + server)
        #expect(asked.status == 0 && asked.output == "accept Ann\n", "\(asked)")
    }

    @Test func linesThatComeTogetherAreAnsweredAndNothingElseIsSaid() async throws {
        let input =
            [
                #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"#
                    + #""clientInfo":{"name":"x","version":"1"}}}"#,
                #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "no JSON",
                #"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"echo","arguments":{"text":"1.50"}}}"#,
                #"{"jsonrpc":"2.0","id":3,"method":"no/such"}"#,
            ].joined(separator: "\n") + "\n"
        try await Self.bridge("fixture.py") { url in
            let result = try await Command.run([Repository.binary("berth"), "connect", url], input: input, seconds: 120)
            let lines = result.output.split(separator: "\n")
            #expect(result.status == 0 && lines.count == 4 && result.errors.isEmpty, "\(result)")
            #expect(lines.first?.contains(#""protocolVersion":"2025-06-18""#) == true, "\(result)")
            #expect(lines.contains { $0.contains(#""id":"a""#) && $0.contains("1.50") }, "\(result)")
            #expect(lines.contains { $0.contains(#""id":3"#) && $0.contains("-32601") } && lines.contains { $0.contains("-32700") }, "\(result)")
        }
    }

    /// The same line in the error of the protocol and on standard error, where a client's log has it, however often it tries.
    private func refused(_ url: String, _ more: [String] = []) async throws -> String {
        let initialize = #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}"#
        let again = initialize.replacingOccurrences(of: #""id":1"#, with: #""id":2"#)
        let result = try await Command.run(
            [BridgeRig.python, Repository.fixture("in_turn.py"), Repository.binary("berth"), "connect", url] + more,
            input: "\(initialize)\n\(again)\n", seconds: 120)
        let answers = result.output.split(separator: "\n").compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
        let errors = answers.compactMap { $0["error"] as? [String: Any] }
        let message = try #require(errors.first?["message"] as? String, "\(result)")
        #expect(errors.count == 2 && errors.allSatisfy { $0["message"] as? String == message }, "\(result)")
        #expect(result.errors == "berth: \(message)\n", "\(result)")
        return message
    }

    @Test func nobodyAtTheURLIsToldWithTheRemedy() async throws {
        #expect(try await refused("http://127.0.0.1:1/mcp").hasPrefix("nothing listens at http://127.0.0.1:1/mcp — "))
    }

    @Test func aServerThatRefusesIsToldWithTheRemedy() async throws {
        let files = ["tokens": "alice 0123456789abcdef-alice\n", "token": "0123456789abcdef-alice\n", "other": "0123456789abcdef-alicf\n"]
        try await BridgeRig.run(["--token-file", "%/tokens"], files: files) { bridge in
            let (url, folder) = (try await bridge.url(), bridge.folder)
            let none = try await refused(url)
            #expect(none == "the server answered HTTP 401: a bearer token is needed — give a token with --token-file or BERTH_TOKEN")
            let wrong = try await refused(url, ["--token-file", folder + "/other"])
            #expect(wrong.hasPrefix("the server answered HTTP 401: this bearer token is none of this server's — the token is not good: "), "\(wrong)")
            let short = try await refused(String(url.dropLast(4)), ["--token-file", folder + "/token"])
            #expect(short == "the server answered HTTP 404: MCP is served at /mcp — did you mean \(url)?")
        }
    }

    private static func bridge(_ fixture: String, _ body: (String) async throws -> Void) async throws {
        try await BridgeRig.run([], command: [BridgeRig.python, Repository.fixture(fixture)]) { bridge in
            try await body(try await bridge.url())
            _ = await bridge.process.end(SIGTERM)
        }
    }
}
