import Foundation
import TestSupport
import Testing

/// HTTP+SSE of 2024-11-05 towards servers that have nothing else.
struct OldTransportTests {
    @Test(.enabled(if: FileManager.default.fileExists(atPath: Repository.python(mcp: "1.30.0")), "needs the SDK 1.30.0"))
    func theSDKsServerHasTerminalsAndClientsOfBothEras() async throws {
        try await withFolder { folder in
            let server = try Background([Repository.python(mcp: "1.30.0"), Repository.fixture("old_sse.py")], in: folder)
            defer { server.end() }
            let url = try await server.line { $0.hasPrefix("http://") }
            let inspected = try await TerminalTests.berth(["inspect", url])
            #expect(inspected.output.contains("(legacy)") && inspected.output.contains("3 tools"), "\(inspected)")
            let greeted = try await TerminalTests.berth(["call", url, "greet", "--answers", #"{"name":"Ann"}"#])
            #expect(greeted.output == "accept name='Ann' age=7\n", "\(greeted)")
            for (sdk, mode, version) in ConnectTests.clients {
                let result = try await Command.run(
                    [Repository.python(mcp: sdk), Repository.fixture("stdio_client.py"), mode, Repository.binary("berth"), "connect", url],
                    seconds: 120)
                let seen = try #require(result.lastJSON, "\(result)")
                #expect(seen["version"] as? String == version && seen["asked"] as? [String] == ["who?"], "\(seen)")
                #expect(seen["text"] as? [String: String] == ["count": "counted", "greet": "accept name='Ann' age=7"], "\(seen)")
                #expect((seen["progress"] as? [[Any]])?.count == 3, "\(seen)")
            }
            // One stream for each of them, and all of them are over.
            let isOver = await eventually { server.output.components(separatedBy: "GET over").count == 6 }
            #expect(isOver && server.output.components(separatedBy: "GET /sse").count == 6, "\(server.output)")
        }
    }

    @Test(arguments: [
        ("away", "names a place at another origin to post to"), ("ends", "ended before it said where to post"),
        ("silent", "did not say in time where to post"),
    ])
    func aStreamThatNamesNoPlaceOfItsOwnIsRefused(_ how: String, _ says: String) async throws {
        try await RemoteRig.run("eventstream") { remote in
            let refused = try await remote.berth(["call", remote.url + "?" + how, "x", "--token-file", remote.folder + "/token"])
            #expect(refused.status == 1 && refused.errors.contains("the server's event stream " + says), "\(refused)")
            // Nothing went anywhere else.
            #expect(remote.methods == ["server/discover", "initialize", "GET"])
        }
    }

    @Test func aStreamThatBreaksUnderACallLeavesItsOutcomeUnknownAndTheNextOneOpensAnother() async throws {
        try await RemoteRig.run("eventstream") { remote in
            let talk = try await remote.connect([RemoteRig.call(1, "x"), RemoteRig.call(2, "x")], query: "?breaks")
            #expect(talk.text(1) == "outcome_unknown" && talk.text(2) == "outcome_unknown" && talk.end.status == 0, "\(talk)")
            // What it speaks was found out once.
            let start = ["initialize", "notifications/initialized", "tools/call"]
            #expect(remote.methods == ["initialize", "GET"] + start + ["GET"] + start)
        }
    }

    @Test func aURLWhereNothingIsFailsAsItsPOSTDid() async throws {
        try await RemoteRig.run("nothing") { remote in
            let refused = try await remote.berth(["call", remote.url, "x"])
            #expect(refused.status == 1 && refused.errors.contains("HTTP 404 — berth vmcp list has the URLs"), "\(refused)")
        }
    }
}
