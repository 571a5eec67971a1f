import Foundation
import TestSupport
import Testing

/// The main job with everything real: a server from PyPI and one from a folder, behind one URL, called by real SDKs.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct MainJobTests {
    @Test func hostedServersBehindOneURL() async throws {
        try await Berth.run { berth in
            let started = try await berth.up()
            #expect(started["url"] as? String == berth.url)
            #expect((started["admin_token"] as? String)?.hasPrefix("berth_") == true)
            #expect((started["machines_url"] as? String)?.hasPrefix("http://127.0.0.1:") == true)
            #expect(started["pid"] as? Int ?? 0 > 1)

            // A second up changes nothing and says the same.
            let again = try await berth.up()
            for key in ["url", "admin_token", "machines_url", "machines_token"] { #expect(again[key] as? String == started[key] as? String) }
            #expect(again["pid"] as? Int == started["pid"] as? Int)

            let time = try await berth.json(["connector", "add", "time", "--pypi", "mcp-server-time"])
            #expect(time["event"] as? String == "ready")
            #expect(time["tools"] as? Int == 2)
            try await berth.add("fixture", fixture: "fixture.py")
            try await berth.json(["vmcp", "create", "office", "time", "fixture"])
            let alice = try await berth.token(for: "alice", vmcp: "office")
            #expect(alice.url == berth.url + "/v/office/mcp")

            for (sdk, mode, version) in [("2.3.0", "auto", "2026-07-28"), ("2.3.0", "legacy", "2025-11-25"), ("1.30.0", "legacy", "2025-11-25")] {
                let client = try await Command.run(
                    [
                        Repository.python(mcp: sdk), Repository.fixture("client.py"), alice.url, alice.token, mode, "get_current_time",
                        #"{"timezone":"UTC"}"#, "echo", #"{"text":"hello from \#(sdk)"}"#,
                    ], seconds: 90)
                let answer = try #require(client.lastJSON, "\(sdk) \(mode): \(client.output) \(client.errors) \(berth.log)")
                #expect(answer["version"] as? String == version)
                let tools = try #require(answer["tools"] as? [String])
                #expect(tools.contains("get_current_time") && tools.contains("echo"))
                let results = try #require(answer["results"] as? [[String: Any]])
                #expect("\(results[0])".contains("UTC"))
                #expect("\(results[1])".contains("hello from \(sdk)"))
            }

            let calls = try await berth.audit().filter { $0["method"] as? String == "tools/call" }
            #expect(calls.count == 6, "one row per call")
            for row in calls {
                #expect(row["principal"] as? String == "alice")
                #expect(row["outcome"] as? String == "allowed")
                #expect((row["machine"] as? String)?.count == 14)
                #expect((row["boot"] as? String)?.count == 26)
                #expect(row["arguments"] != nil && row["result"] != nil)
            }
        }
    }
}
