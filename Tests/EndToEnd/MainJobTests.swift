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
            try await folderWithRequirements(berth)
            try await berth.json(["vmcp", "create", "office", "time", "fixture"])
            let alice = try await berth.token(for: "alice", vmcp: "office")
            #expect(alice.url == berth.url + "/v/office/mcp")

            let clients = [
                ("2.3.0", "auto", "2026-07-28"), ("2.3.0", "legacy", "2025-11-25"), ("1.30.0", "legacy", "2025-11-25"), ("1.30.0", "sse", "2025-11-25"),
                ("2.3.0", "sse", "2025-11-25"),
            ]
            for (sdk, mode, version) in clients {
                let url = mode == "sse" ? berth.url + "/v/office/sse" : alice.url
                let client = try await Command.run(
                    [
                        Repository.python(mcp: sdk), Repository.fixture("client.py"), url, alice.token, mode, "get_current_time",
                        #"{"timezone":"UTC"}"#, "echo", #"{"text":"hello from \#(sdk)"}"#,
                    ], seconds: 120)
                let answer = try #require(client.lastJSON, "\(sdk) \(mode): \(client.output) \(client.errors) \(berth.log)")
                #expect(answer["version"] as? String == version)
                let tools = try #require(answer["tools"] as? [String])
                #expect(tools.contains("get_current_time") && tools.contains("echo"))
                let results = try #require(answer["results"] as? [[String: Any]])
                #expect("\(results[0])".contains("UTC"))
                #expect("\(results[1])".contains("hello from \(sdk)"))
            }

            let own = try await berth.token(for: "bob", vmcp: "own")
            let answer = try await RawClient(url: own.url, token: own.token).call("installed")
            #expect(answer.text == "1.30.0 and its server", "\(answer.json)")

            let calls = try await berth.audit().filter { $0["method"] as? String == "tools/call" }
            #expect(calls.count == 11, "one row per call")
            for row in calls.prefix(10) {
                #expect(row["principal"] as? String == "alice")
                #expect(row["outcome"] as? String == "allowed")
                #expect((row["machine"] as? String)?.count == 14)
                #expect((row["boot"] as? String)?.count == 26)
                #expect(row["arguments"] != nil && row["result"] != nil)
            }
        }
    }

    /// A server in a folder, written with the SDK: its requirements are locked and installed inside a machine.
    private func folderWithRequirements(_ berth: Berth) async throws {
        let folder = (berth.state as NSString).deletingLastPathComponent + "/own-source"
        try FileManager.default.createDirectory(atPath: folder + "/.git", withIntermediateDirectories: true)
        let server = """
            import importlib.metadata, pathlib
            from mcp.server.fastmcp import FastMCP
            server = FastMCP("own")

            @server.tool()
            def installed() -> str:
                return importlib.metadata.version("mcp") + " and its " + pathlib.Path("name.txt").read_text()

            server.run()
            """
        for (name, text) in [("server.py", server), ("name.txt", "server"), ("requirements.txt", "mcp==1.30.0\n"), (".env", "KEY=secret"), (".git/x", "")] {
            try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
        }
        let result = try await berth.run(
            ["connector", "add", "own", "--dir", folder, "--requirements", folder + "/requirements.txt", "--json", "--", "python3", "server.py"])
        #expect(result.status == 0, "\(result.output) \(result.errors)")
        #expect(result.lastJSON?["tools"] as? Int == 1)
        #expect(result.errors.contains("left out: .env") && result.errors.contains("left out: .git"), "\(result.errors)")
        try await berth.json(["vmcp", "create", "own", "own"])
    }
}
