import Foundation
import TestSupport
import Testing

/// The same servers hosted: each built from the package index as it is pinned, in a machine without a network, called through the gateway
/// (`make test-all`). One after the other, for their times.
@Suite(.serialized, .enabled(if: RealServerRig.isPossible && Berth.isPossible, "make test-all installs the servers; machines need root"))
struct HostedServerTests {
    @Test func runsThemUnmodified() async throws {
        try await Berth.run { berth in
            try await berth.up()
            for server in RealServer.all {
                let (added, seconds) = try await add(server, to: berth)
                #expect(added.status == 0 && added.output.contains("\(server.name) ready: \(server.tools) tool"), "\(added) \(berth.log)")
                guard added.status == 0 else { continue }
                try await berth.json(["vmcp", "create", "only-\(server.name)", server.name])
                let alice = try await berth.token(for: "alice", vmcp: "only-\(server.name)")
                let client = RawClient(url: alice.url, token: alice.token)
                #expect(try await client.send("tools/list").names.count == server.tools)
                let arguments = server.call.arguments.replacingOccurrences(of: "%", with: "/tmp")
                let call = try #require(try JSONSerialization.jsonObject(with: Data(arguments.utf8)) as? [String: Any])
                let answer = try await client.call(server.call.tool, call)
                let isError = (answer.json["result"] as? [String: Any])?["isError"] as? Bool ?? false
                if server.needsFolder {
                    // There is none: it says so itself.
                    #expect(answer.status == 200 && answer.text?.isEmpty == false, "\(server.name): \(answer.json)")
                } else {
                    #expect(answer.status == 200 && answer.text?.contains(server.says) == true, "\(server.name): \(answer.json)")
                    #expect(isError == server.isError, "\(server.name): \(answer.json)")
                }
                try HostedServerTable.add(server, seconds: seconds, usage: try await berth.json(["machines", "usage", try await berth.machine().machine]))
                #expect(try await berth.run(["vmcp", "remove", "only-\(server.name)"]).status == 0)
                #expect(try await berth.run(["connector", "remove", server.name], seconds: 120).status == 0)
            }
        }
    }

    private func add(_ server: RealServer, to berth: Berth) async throws -> (CommandResult, Double) {
        let pins = try String(contentsOfFile: Repository.fixture("Servers/\(server.name).txt"), encoding: .utf8).split(separator: "\n").map(String.init)
        var words = ["connector", "add", server.name, "--pypi", "\(server.package)==\(server.version)", "--memory", "512", "--pids", "128"]
        let constraints = pins.filter { $0.contains("==") && !$0.hasPrefix("#") }
        // As many as a connector takes; and of fetch the newest need a later Python 3.11 than Debian's.
        for pin in constraints where constraints.count <= 64 && server.name != "fetch" { words += ["--constraint", String(pin.prefix { $0 != " " })] }
        for (name, value) in server.environment.sorted(by: { $0.key < $1.key }) { words += ["--env", "\(name)=\(value)"] }
        let begin = ContinuousClock.now
        let result = try await berth.run(words + ["--"] + server.hostedCommand, seconds: 600)
        return (result, Double((ContinuousClock.now - begin).components.seconds))
    }
}

extension RealServer {
    /// As its package's own script, with a folder of the machine for what wants one.
    fileprivate var hostedCommand: [String] {
        // Without a folder of its own there is no repository to name.
        if name == "git" { return ["mcp-server-git"] }
        let words = name == "playwright" ? ["playwright", "mcp"] + command.dropFirst(3) : [command[0].replacingOccurrences(of: "bin/", with: "")] + command.dropFirst()
        return words.map { $0.replacingOccurrences(of: "%", with: "/tmp") }
    }

    /// The call is about files that a test makes beside the server.
    fileprivate var needsFolder: Bool { name == "git" || !files.isEmpty }
}

/// What a run measured, a line for each server, in the file of `BERTH_HOSTED_TABLE`.
private enum HostedServerTable {
    static func add(_ server: RealServer, seconds: Double, usage: [String: Any]) throws {
        guard let path = ProcessInfo.processInfo.environment["BERTH_HOSTED_TABLE"] else { return }
        let memory = (usage["memory"] as? [String: Any])?["working_set"] as? Int ?? 0
        let words = [server.package, server.version, server.language, String(format: "%.0f", seconds), String(server.tools), String(memory >> 20)]
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: Data("| \(words.joined(separator: " | ")) |\n".utf8))
    }
}
