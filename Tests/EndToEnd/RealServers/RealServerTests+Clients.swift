import Foundation
import TestSupport
import Testing

/// The clients of the field, all at one bridge at the same time: both SDKs, both eras, the transport of 2024-11-05, and fastmcp.
extension RealServerTests {
    /// Its interpreter and script, the mode that the script takes, and the revision that it must agree on.
    private struct Client {
        let python: String
        let script: String
        let mode: [String]
        let version: String?

        static let token = "0123456789abcdef-everyone"
        static let all: [Client] =
            [("2.3.0", "auto", "2026-07-28"), ("2.3.0", "legacy", "2025-11-25"), ("1.30.0", "legacy", "2025-11-25"), ("1.30.0", "sse", "2025-11-25"), ("2.3.0", "sse", "2025-11-25")]
            .map { Client(python: Repository.python(mcp: $0.0), script: "client.py", mode: [$0.1], version: $0.2) } + [
                Client(python: RealServerRig.environments + "/fastmcp/bin/python", script: "fastmcp_client.py", mode: [], version: nil)
            ]

        func run(_ base: String, _ calls: [String]) async throws -> CommandResult {
            let url = base + (mode == ["sse"] ? "/sse" : "/mcp")
            return try await Command.run([python, Repository.fixture(script), url, Self.token] + mode + calls, seconds: 120)
        }
    }

    @Test(arguments: ["time", "calculator"]) func everyClientListsAndCalls(_ name: String) async throws {
        let server = try #require(RealServer.named(name))
        try await RealServerRig.run(server) { rig in
            let files = ["tokens": Client.token + "\n"]
            try await BridgeRig.run(["--token-file", "%/tokens"], files: files, command: rig.command) { bridge in
                let base = String(try await bridge.url().dropLast("/mcp".count))
                let calls = [server.call.tool, server.call.arguments]
                try await withThrowingTaskGroup(of: (Client, CommandResult).self) { group in
                    for client in Client.all { group.addTask { (client, try await client.run(base, calls)) } }
                    for try await (client, result) in group {
                        let answer = try #require(result.lastJSON, "\(client): \(result) \(bridge.lines)")
                        #expect(client.version == nil || answer["version"] as? String == client.version, "\(client): \(answer)")
                        #expect((answer["tools"] as? [String])?.count == server.tools, "\(client): \(answer)")
                        let called = (answer["results"] as? [[String: Any]])?.first
                        #expect(called?["isError"] as? Bool == false && "\(called ?? [:])".contains(server.says), "\(client): \(answer)")
                    }
                }
                let processes = ProcessTree.below(bridge.process.pid)
                #expect(await bridge.process.end(SIGTERM) == 0)
                #expect(!processes.isEmpty && ProcessTree.living(processes).isEmpty)
            }
        }
    }
}
