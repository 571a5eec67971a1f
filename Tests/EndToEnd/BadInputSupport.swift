import Foundation
import TestSupport
import Testing

/// One row of the tables: what is typed, how it ends, the one line that is printed.
struct BadInput {
    var arguments: [String]
    var code: Int32
    /// The last line of standard error, without `berth: `; a star at its end stands for anything.
    var line: String
    /// Standard input; without one it is empty.
    var input: String?

    init(_ arguments: String..., code: Int32 = 1, says line: String, input: String? = nil) {
        self.init(arguments, code: code, says: line, input: input)
    }

    init(_ arguments: [String], code: Int32 = 1, says line: String, input: String? = nil) {
        self.arguments = arguments
        self.code = code
        self.line = line
        self.input = input
    }

    /// Whether a command that ended so did what the row says.
    func fits(_ result: CommandResult) -> String? {
        let last = result.errors.split(separator: "\n").last.map(String.init) ?? ""
        let wanted = "berth: " + line
        let isLine = wanted.hasSuffix("*") ? last.hasPrefix(wanted.dropLast()) : last == wanted
        if result.status == code && isLine { return nil }
        return "berth \(arguments.joined(separator: " ").prefix(300))\n  wanted \(code): \(wanted)\n  found \(result.status): \(last)"
    }
}

/// Everything that a refused command must leave as it was.
struct Snapshot: Equatable, CustomStringConvertible {
    var lists: [String: String] = [:]
    var files: [String]

    static func of(_ berth: Berth) async throws -> Snapshot {
        var snapshot = Snapshot(files: try stateFiles(berth) + runFiles(berth))
        for command in ["connector", "vmcp", "token", "machines"] {
            let result = try await berth.run([command, "list", "--json"])
            guard result.status == 0, let list = result.lastJSON else { throw Trouble("\(command) list: \(result.status) \(result.errors)") }
            snapshot.lists[command] = String(decoding: try JSONSerialization.data(withJSONObject: list, options: .sortedKeys), as: UTF8.self)
        }
        return snapshot
    }

    /// What is in the state directory, but for logs, journals and the layers of images, which are kept for the next build.
    private static func stateFiles(_ berth: Berth) throws -> [String] {
        let kept = ["images/layers", "images/configs", "images/manifests", "images/builds", "images/facts", "uploads/"]
        let all = FileManager.default.enumerator(atPath: berth.state)?.allObjects as? [String] ?? []
        return all.filter { path in
            !kept.contains { path.contains($0) } && !path.contains("/audit") && ![".db-wal", ".db-shm", ".log"].contains { path.hasSuffix($0) }
        }.sorted()
    }

    private static func runFiles(_ berth: Berth) throws -> [String] {
        (FileManager.default.enumerator(atPath: "/run/berth/\(try berth.key)")?.allObjects as? [String] ?? []).sorted()
    }

    var description: String { "\(lists) \(files.joined(separator: "\n"))" }

    /// What differs, for people.
    func difference(_ other: Snapshot) -> String {
        let names = lists.keys.filter { lists[$0] != other.lists[$0] }.map { "\($0): \(lists[$0] ?? "") -> \(other.lists[$0] ?? "")" }
        let (mine, theirs) = (Set(files), Set(other.files))
        let changes = mine.subtracting(theirs).map { "gone: \($0)" } + theirs.subtracting(mine).map { "new: \($0)" }
        return (names + changes.sorted().prefix(20)).joined(separator: "\n")
    }
}

extension Berth {
    /// Runs the rows one after the other, each with the state before and after.
    func refuses(_ rows: [BadInput], seconds: Double = 180, _ location: SourceLocation = #_sourceLocation) async throws {
        var before = try await Snapshot.of(self)
        for row in rows {
            let result = try await run(row.arguments, input: row.input, seconds: seconds)
            if let complaint = row.fits(result) { Issue.record("\(complaint)", sourceLocation: location) }
            let after = try await Snapshot.of(self)
            if after != before { Issue.record("\(row.arguments) changed the state: \(before.difference(after))", sourceLocation: location) }
            before = after
        }
        let left = try await run(["doctor", "--leftovers", "--json"])
        #expect(left.status == 0, "left over: \(left.output) \(left.errors)", sourceLocation: location)
    }

    /// A request to the control socket, as root.
    func control(_ method: String, _ path: String, _ body: String, type: String = "application/json") async throws -> (
        status: Int, json: [String: Any]
    ) {
        let result = try await Command.run(
            [
                "/usr/bin/curl", "--silent", "--unix-socket", "/run/berth/\(try key)/control.sock", "-X", method, "-H", "content-type: \(type)",
                "--data-binary", "@-", "-w", "\n%{http_code}", "http://localhost\(path)",
            ], input: body, seconds: 120)
        let lines = result.output.split(separator: "\n")
        let json = lines.dropLast().last.flatMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
        return (lines.last.flatMap { Int($0) } ?? 0, json ?? [:])
    }
}
