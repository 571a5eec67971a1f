import Foundation
import TestSupport
import Testing

/// Servers of the field behind the bridge (`make test-all`): Python with both SDKs, Go, Rust, Node. One after the other, for their times.
@Suite(.serialized, .enabled(if: RealServerRig.isPossible, "make test-all installs the servers"))
struct RealServerTests {
    @Test(arguments: RealServer.all) func isItselfInBothEras(_ server: RealServer) async throws {
        try await RealServerRig.run(server) { rig in
            let call: [String: Any] = ["name": server.call.tool, "arguments": try rig.arguments]
            let direct = try await rig.direct([["tools/call", call]])
            #expect(direct.era == server.era && direct.answers[0].contains(server.says), "\(direct.answers)")
            // One of both eras is spoken to in its client's.
            let old = direct.era == "legacy" ? direct : try await rig.direct([["tools/call", call]], handshake: true)
            try await rig.bridge { bridge in
                #expect(bridge.tools == server.tools, "\(bridge.process.output)")
                let modern = try await bridge.client.send("tools/list")
                let tree = ProcessTree.below(bridge.process.pid)
                let row = ServerTable.Row(server, seconds: bridge.seconds, bytes: direct.tools.utf8.count, tree: tree)
                let session = try await LegacySession.open(bridge.client)
                let legacy = try await session.send("tools/list")
                // To the byte, however long: translation adds beside the list, and changes nothing in it.
                for (list, own) in [(modern, direct), (legacy, old)] {
                    #expect(list.status == 200 && list.has(own.tools), "\(list.body.count) bytes for \(own.tools.utf8.count)")
                    #expect(list.names == modern.names && list.names.count == server.tools)
                }
                let called = try await bridge.client.call(server.call.tool, try rig.arguments)
                for (answer, own) in [(called, direct), (try await session.send("tools/call", call), old)] {
                    #expect(answer.status == 200 && answer.has(own.answers[0]), "\(answer.json) for \(own.answers)")
                    #expect(((answer.json["result"] as? [String: Any])?["isError"] as? Bool ?? false) == server.isError, "\(answer.json)")
                }

                let processes = ProcessTree.below(bridge.process.pid)
                // The others start new ones too.
                let own = processes.subtracting(tree.reduce(into: tree) { $0.formUnion(ProcessTree.below($1)) })
                try await session.end()
                #expect(!own.isEmpty)
                #expect(await eventually { ProcessTree.living(own).isEmpty }, "the session's are gone: \(ProcessTree.living(own))")
                #expect(!ProcessTree.living(tree).isEmpty, "the others are not")
                #expect(await bridge.process.end(SIGTERM) == 0)
                #expect(ProcessTree.living(processes).isEmpty)
                try ServerTable.add(row)
            }
        }
    }

    /// A shell in a session of its own, and below it one job in the background and one that has left the shell's session.
    @Test func severalProcessesAndNothingIsLeft() async throws {
        let server = try #require(RealServer.named("wcgw"))
        try await RealServerRig.run(server) { rig in
            try await rig.bridge { bridge in
                let session = try await LegacySession.open(bridge.client)
                let first = try await session.send(
                    "tools/call",
                    [
                        "name": "Initialize",
                        "arguments": [
                            "type": "first_call", "any_workspace_path": rig.folder, "initial_files_to_read": [String](), "task_id_to_resume": "",
                            "mode_name": "wcgw", "thread_id": "",
                        ],
                    ])
                let thread = try #require(first.text?.firstMatch(of: /thread_id=(\w+)/)?.1, "\(first.json)")
                let ran = try await session.send(
                    "tools/call",
                    [
                        "name": "BashCommand",
                        "arguments": [
                            "type": "command", "thread_id": String(thread), "command": "sleep 600 & setsid sleep 600 & echo $$ $((6 * 7))",
                        ],
                    ])
                let shell = try #require(ran.text?.firstMatch(of: /(\d+) 42\n/).flatMap { pid_t($0.1) }, "\(ran.json)")
                let all = ProcessTree.below(bridge.process.pid)
                let above = all.filter { ProcessTree.below($0).contains(shell) }
                let sleeping = ProcessTree.named("sleep", all)
                // Its server, what is below that, and the job that is below the bridge since its parent ended.
                let own = above.reduce(above.union(sleeping)) { $0.union(ProcessTree.below($1)) }
                #expect(!above.isEmpty && own.contains(shell) && sleeping.count == 2, "\(own) of \(all)")
                try await session.end()
                #expect(await eventually { ProcessTree.living(own).isEmpty }, "\(ProcessTree.living(own)) of \(own)")
                #expect(await bridge.process.end(SIGTERM) == 0)
                #expect(ProcessTree.living(all).isEmpty)
            }
        }
    }

    /// Several times what a pipe holds, on standard error, between requests that are answered.
    @Test func floodsOfStandardErrorHoldNothingUp() async throws {
        let server = try #require(RealServer.named("redis"))
        let malformed: [String: Any] = ["ref": 1]
        try await RealServerRig.run(server) { rig in
            let direct = try await rig.direct(Array(repeating: ["completion/complete", malformed], count: 30))
            #expect(direct.errors > 3 * 65_536, "\(direct.errors)")
            try await rig.bridge { bridge in
                let session = try await LegacySession.open(bridge.client)
                for wanted in direct.answers {
                    let answer = try await session.send("completion/complete", malformed)
                    #expect(answer.has(wanted), "\(answer.json) for \(wanted)")
                }
                #expect(try await session.send("tools/list").names.count == server.tools)
                try await session.end()
            }
        }
    }

    // MARK: Servers that do not start

    /// `mcp` 2.x broke what this server imports: the field's most frequent failure.
    @Test func aCrashAtImportIsToldWithItsReason() async throws {
        let server = RealServer(
            name: "sqlite-broken", package: "mcp-server-sqlite", language: "Python", command: ["bin/mcp-server-sqlite", "--db-path", "%/a.db"],
            era: "", tools: 0, call: ("read_query", "{}"), says: "")
        try await refuses(server, status: 1, reason: "Error: ")
    }

    @Test func anOptionThatItDoesNotKnowIsToldWithItsReason() async throws {
        let server = RealServer(
            name: "motherduck", package: "mcp-server-motherduck", language: "Python", command: ["bin/mcp-server-motherduck", "--no-such"],
            era: "", tools: 0, call: ("execute_query", "{}"), says: "")
        try await refuses(server, status: 2, reason: "No such option")
    }

    private func refuses(_ server: RealServer, status: Int, reason: String, _ location: SourceLocation = #_sourceLocation) async throws {
        try await RealServerRig.run(server) { rig in
            try await rig.bridge { bridge in
                #expect(bridge.tools == nil, sourceLocation: location)
                #expect(bridge.reason == "the server exited with status \(status)", sourceLocation: location)
                let answer = try await bridge.client.call(server.call.tool)
                let message = (answer.json["error"] as? [String: Any])?["message"] as? String ?? ""
                #expect(message.contains("exited with status \(status)"), "\(answer.json)", sourceLocation: location)
                #expect(message.contains(reason), "\(message)", sourceLocation: location)
                #expect(await bridge.process.end(SIGTERM) == 0, sourceLocation: location)
            }
        }
    }
}

extension RawClient.Answer {
    func has(_ bytes: String) -> Bool { body.range(of: Data(bytes.utf8)) != nil }

    /// Of the tools, in their order.
    var names: [String] {
        ((json["result"] as? [String: Any])?["tools"] as? [[String: Any]])?.compactMap { $0["name"] as? String } ?? []
    }
}
