import Foundation
import TestSupport
import Testing

/// `berth bridge` with a folder of its own, ended with the test.
struct BridgeRig: Sendable {
    let folder: String
    let process: Background

    static let python = "/usr/bin/python3"
    static var fixture: [String] { [python, Repository.fixture("fixture.py")] }

    /// - Parameter files: written into the folder first, readable by their owner alone; `%` in an argument stands for the folder.
    static func run(
        _ arguments: [String], files: [String: String] = [:], environment: [String: String] = [:], command: [String] = BridgeRig.fixture,
        _ location: SourceLocation = #_sourceLocation, _ body: (BridgeRig) async throws -> Void
    ) async throws {
        try await withFolder(files) { folder in
            let words = (["bridge"] + arguments + (command.isEmpty ? [] : ["--"] + command)).map { $0.replacingOccurrences(of: "%", with: folder) }
            let process = try Background([Repository.binary("berth")] + words, environment: environment, in: folder)
            defer { process.end() }
            try await body(BridgeRig(folder: folder, process: process))
        }
    }

    /// Whether no process holds a lock on a file any more.
    static func isFree(_ path: String) -> Bool {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        defer { close(descriptor) }
        return descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) == 0
    }

    /// The URL in the ready line.
    func url(within seconds: Double = 120) async throws -> String {
        let line = try await process.line(within: seconds) { $0.hasPrefix("http://") }
        return line.split(separator: " ").first.map(String.init) ?? ""
    }

    func client(token: String? = nil) async throws -> RawClient { RawClient(url: try await url(), token: token) }

    /// Everything printed so far, by line.
    var lines: [String] { process.output.split(separator: "\n").map(String.init) }

    func says(_ what: String, within seconds: Double = 120) async -> Bool {
        await eventually(within: seconds) { process.output.contains(what) }
    }
}

extension RawClient {
    /// What the fixture's `identity` tells of its process.
    func identity() async throws -> [String: Any] {
        let answer = try await call("identity")
        let text = try #require(answer.text, "\(answer.status) \(answer.json)")
        return try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    func pid() async throws -> Int { try #require(try await identity()["pid"] as? Int) }
}
