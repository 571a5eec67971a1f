import Foundation
import TestSupport
import Testing

/// A server of the field behind `berth bridge`, and beside it without anything between.
struct RealServerRig {
    /// Where `make test-all` has installed the servers; without it none of these tests runs.
    static let environments = ProcessInfo.processInfo.environment["BERTH_REAL_SERVERS"] ?? ""
    static var isPossible: Bool { !environments.isEmpty }

    let server: RealServer
    let folder: String

    /// Runs `body` in a folder that has the server's files, and an empty repository of git where it serves one.
    static func run(_ server: RealServer, _ body: (RealServerRig) async throws -> Void) async throws {
        try await withFolder(server.files) { folder in
            if server.name == "git" {
                let made = try await Command.run(["/usr/bin/git", "init", "-q", folder + "/repo"])
                try #require(made.status == 0, "\(made)")
            }
            try await body(RealServerRig(server: server, folder: folder))
        }
    }

    var command: [String] {
        [Self.environments + "/\(server.name)/" + server.command[0]] + server.command.dropFirst().map(filled)
    }

    var environment: [String: String] { server.environment.merging(["HOME": folder]) { own, _ in own } }

    var arguments: [String: Any] {
        get throws { try JSONSerialization.jsonObject(with: Data(filled(server.call.arguments).utf8)) as? [String: Any] ?? [:] }
    }

    func filled(_ text: String) -> String {
        text.replacingOccurrences(of: "%", with: folder).replacingOccurrences(of: "@", with: Self.environments + "/" + server.name)
    }

    // MARK: Nothing between

    struct Direct: Decodable {
        let era: String
        /// The server's own bytes.
        let tools: String
        let answers: [String]
        /// Bytes on its standard error.
        let errors: Int
    }

    /// What the server says on its own standard output.
    func direct(_ requests: [[Any]], handshake: Bool = false) async throws -> Direct {
        let wanted: [String: Any] = [
            "command": command, "environment": environment.merging(["PATH": "/usr/local/bin:/usr/bin:/bin"]) { own, _ in own }, "requests": requests,
            "handshake": handshake,
        ]
        let text = String(decoding: try JSONSerialization.data(withJSONObject: wanted), as: UTF8.self)
        let result = try await Command.run([BridgeRig.python, Repository.fixture("direct_talk.py"), text], directory: folder, seconds: 120)
        let line = try #require(result.output.split(separator: "\n").last, "\(result.errors)")
        return try JSONDecoder().decode(Direct.self, from: Data(line.utf8))
    }

    // MARK: The bridge between

    struct Bridge {
        let process: Background
        let url: String
        let tools: Int?
        let reason: String?
        /// From the start of the bridge to its ready line.
        let seconds: Double

        var client: RawClient { RawClient(url: url, token: nil) }
    }

    func bridge(_ body: (Bridge) async throws -> Void) async throws {
        let begun = ContinuousClock.now
        let pairs = environment.sorted { $0.key < $1.key }.flatMap { ["--env", "\($0.key)=\($0.value)"] }
        let process = try Background([Repository.binary("berth"), "bridge", "--json"] + pairs + ["--"] + command, in: folder)
        defer { process.end() }
        let line = try await process.line { $0.hasPrefix(#"{"event":"ready""#) }
        let seconds = Double((ContinuousClock.now - begun) / .milliseconds(1)) / 1_000
        let ready = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        try await body(
            Bridge(
                process: process, url: try #require(ready["url"] as? String), tools: ready["tools"] as? Int, reason: ready["reason"] as? String,
                seconds: seconds))
    }
}
