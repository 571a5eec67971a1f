import Foundation
import TestSupport
import Testing

/// `berth connect` with real SDKs as its STDIO clients: both eras on both sides.
@Suite(.enabled(if: FileManager.default.fileExists(atPath: Repository.python(mcp: "2.3.0")), "needs the SDKs"))
struct ConnectTests {
    /// What a client of the SDK saw.
    private func talk(_ sdk: String, _ mode: String, _ connect: [String]) async throws -> [String: Any] {
        let result = try await Command.run(
            [Repository.python(mcp: sdk), Repository.fixture("stdio_client.py"), mode, Repository.binary("berth"), "connect"] + connect, seconds: 90)
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
            let url = try await bridge.url(within: 60)
            for (sdk, mode, version) in Self.clients where !era.isEmpty || mode == "legacy" {
                let seen = try await talk(sdk, mode, [url])
                #expect(seen["version"] as? String == version && seen["asked"] as? [String] == ["who?"], "\(seen)")
                #expect((seen["text"] as? [String: String])?["ask"] == "accept Ann", "\(seen)")
            }
        }
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
            let result = try await Command.run([Repository.binary("berth"), "connect", url], input: input, seconds: 60)
            let lines = result.output.split(separator: "\n")
            #expect(result.status == 0 && lines.count == 4 && result.errors.isEmpty, "\(result)")
            #expect(lines.first?.contains(#""protocolVersion":"2025-06-18""#) == true, "\(result)")
            #expect(lines.contains { $0.contains(#""id":"a""#) && $0.contains("1.50") }, "\(result)")
            #expect(lines.contains { $0.contains(#""id":3"#) && $0.contains("-32601") } && lines.contains { $0.contains("-32700") }, "\(result)")
        }
    }

    @Test func nobodyAtTheURLIsAnErrorOfTheProtocol() async throws {
        let input = #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}"# + "\n"
        let result = try await Command.run([Repository.binary("berth"), "connect", "http://127.0.0.1:1/mcp"], input: input, seconds: 60)
        #expect(result.status == 0 && result.lastJSON?["id"] as? Int == 1 && result.lastJSON?["error"] != nil, "\(result)")
    }

    private static func bridge(_ fixture: String, _ body: (String) async throws -> Void) async throws {
        try await BridgeRig.run([], command: [BridgeRig.python, Repository.fixture(fixture)]) { bridge in
            try await body(try await bridge.url())
            _ = await bridge.process.end(SIGTERM, within: 15)
        }
    }
}
