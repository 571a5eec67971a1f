import Foundation
import TestSupport
import Testing

/// Every command that prints for people takes `--json`.
@Suite struct CommandTreeTests {
    /// Processes behind `berth up`, which nobody starts by hand.
    /// And one whose standard output is the protocol's.
    private static let silent: Set = ["berth supervise", "berth orchestrator", "berth gateway", "berth state-part", "berth connect"]

    private struct Tree: Decodable { var command: Node }

    private struct Node: Decodable {
        struct Argument: Decodable {
            struct Name: Decodable { var kind: String; var name: String }
            var kind: String
            var names: [Name]?
        }
        var commandName: String
        var subcommands: [Node]?
        var arguments: [Argument]?

        var takesJSON: Bool {
            arguments?.contains { $0.kind == "flag" && $0.names?.contains { $0.kind == "long" && $0.name == "json" } == true } == true
        }

        /// The commands that do something, by their full names.
        func leaves(under path: String = "") -> [String: Node] {
            let name = path.isEmpty ? commandName : "\(path) \(commandName)"
            guard let subcommands, !subcommands.isEmpty else { return commandName == "help" ? [:] : [name: self] }
            return subcommands.reduce(into: [:]) { $0.merge($1.leaves(under: name)) { first, _ in first } }
        }
    }

    @Test func everyLeafTakesJSON() async throws {
        let dump = try await Command.run([Repository.binary("berth"), "--experimental-dump-help"])
        try #require(dump.status == 0, "\(dump.errors)")
        let leaves = try JSONDecoder().decode(Tree.self, from: Data(dump.output.utf8)).command.leaves()
        #expect(leaves.count > 20 && leaves["berth connector add"] != nil && leaves["berth tour"] != nil, "\(leaves.keys.sorted())")
        #expect(Set(leaves.filter { !$0.value.takesJSON }.keys) == Self.silent)
    }
}

/// Commands that take long print one JSON object a line, the last of which is their result.
@Suite struct JSONOutputTests {
    @Test func aBridgeTellsWhereItServes() async throws {
        try await BridgeRig.run(["--json"]) { bridge in
            let line = try await bridge.process.line { $0.hasPrefix("{") }
            let ready = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            #expect(ready["event"] as? String == "ready" && ready["pid"] as? Int == Int(bridge.process.pid))
            #expect(ready["tools"] as? Int ?? 0 > 5)
            let url = try #require(ready["url"] as? String)
            #expect(url == "http://127.0.0.1:\(ready["port"] as? Int ?? 0)/mcp")
            #expect(try await RawClient(url: url, token: nil).call("echo", ["text": "hello"]).text?.contains("hello") == true)
            #expect(await bridge.process.end(SIGTERM) == 0)
        }
    }

    /// A command that fails says so on standard output too, where a program reads.
    @Test func failuresAreJSON() async throws {
        let file = NSTemporaryDirectory() + "berth-no-program-\(UUID().uuidString)"
        try Data("no program".utf8).write(to: URL(fileURLWithPath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        chmod(file, 0o755)
        let commands = [
            ["bridge", "--json", "--", "nosuch"], ["bridge", "--json", "--exit-on-crash", "--", file],
            ["call", "--json", "http://127.0.0.1:1/v/x/mcp", "t"],
            ["status", "--json", "now"],
        ]
        for arguments in commands {
            let result = try await Command.run([Repository.binary("berth")] + arguments)
            let failure = try #require(result.lastJSON, "\(result.output) \(result.errors)")
            #expect(result.status != 0 && failure["event"] as? String == "failed" && failure["hint"] is String, "\(failure)")
            let message = try #require(failure["message"] as? String)
            #expect(result.errors.hasPrefix("berth: \(message) — ") && !result.errors.contains("errno"), "\(result.errors)")
        }
    }

    @Test(.enabled(if: Berth.isPossible, "machines need root")) func tokensAndFiltersTellTheirState() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let token = try await berth.json(["token", "create", "--admin", "--for", "carol"])
            try await berth.json(["token", "revoke", token["id"] as? String ?? ""])
            try await berth.json(["token", "create", "--admin", "--for", "dave", "--expires", "1h"])
            let rows = try await berth.json(["token", "list"])["tokens"] as? [[String: Any]] ?? []
            func state(_ principal: String) -> String? { rows.first { $0["principal"] as? String == principal }?["state"] as? String }
            #expect(state("carol") == "revoked" && state("dave") == "active", "\(rows)")

            // A principal without rows may have some tomorrow: a note, and no error.
            let none = try await berth.run(["audit", "tail", "--for", "carrol"])
            #expect(none.status == 0 && none.errors == "berth: no row and no token is of carrol — did you mean 'carol'?\n", "\(none.errors)")
            let quiet = try await berth.run(["audit", "tail", "--for", "dave", "--method", "tools/call"])
            #expect(quiet.status == 0 && quiet.errors.isEmpty, "\(quiet.errors)")

            // A second `up` that wants nothing else changes nothing.
            let pid = try berth.pid(of: "supervise")
            for more in [[], ["--listen", "localhost:\(berth.port)"], ["--package-index", "https://pypi.org/simple"]] {
                let again = try await berth.run(["up", "--detach", "--json"] + more)
                #expect(again.status == 0 && again.lastJSON?["pid"] as? Int == Int(pid), "\(again.output) \(again.errors)")
            }
        }
    }

    @Test(.enabled(if: Berth.isPossible, "machines need root")) func aTourTellsWhatItMade() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let first = try await berth.run(["tour", "--json"])
            let events = try first.output.split(separator: "\n").map { line in
                try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
            }
            try #require(first.status == 0, "\(first.output) \(first.errors) \(berth.log)")
            let kinds = events.compactMap { $0["event"] as? String }
            #expect(kinds.count == events.count && kinds.contains("step") && kinds.suffix(2) == ["ready", "done"], "\(kinds)")

            let tour = try #require(events.last)
            #expect(tour["url"] as? String == berth.url + "/v/tour/mcp" && tour["connector"] as? String == "time" && tour["tools"] as? Int == 2)
            #expect((tour["machine"] as? String)?.count == 14 && (tour["boot"] as? String)?.count == 26)
            #expect("\(tour["answer"] ?? "")".contains("Europe/Berlin"))
            let row = try #require(tour["audit"] as? [String: Any])
            #expect(row["tool"] as? String == "get_current_time" && row["outcome"] as? String == "allowed" && row["principal"] as? String == "tour")
            #expect(row["machine"] as? String == tour["machine"] as? String && row["boot"] as? String == tour["boot"] as? String)
            let isolation = try #require(tour["isolation"] as? [String: [String]])
            #expect(isolation["missing"] == [] && isolation["active"]?.contains("user-namespace") == true, "\(isolation)")

            // Nothing is made, called or logged again.
            let before = try await berth.audit().count
            let second = try await berth.json(["tour"])
            #expect(NSDictionary(dictionary: second) == NSDictionary(dictionary: tour))
            #expect(try await berth.audit().count == before)
        }
    }

    /// A log that is followed goes on line by line, with the rows that were asked for alone.
    @Test(.enabled(if: Berth.isPossible, "machines need root")) func anAuditLogIsFollowed() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let folder = (berth.state as NSString).deletingLastPathComponent
            try await berth.json(["token", "create", "--admin"])
            let log = try Background(
                [Repository.binary("berth"), "audit", "tail", "-f", "--json", "--method", "admin/token.create", "--state", berth.state], in: folder)
            defer { log.end() }
            func rows() throws -> [[String: Any]] {
                try log.output.split(separator: "\n").map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] ?? [:] }
            }
            #expect(try await eventually { try rows().count == 1 }, "\(log.output)")
            let token = try await berth.json(["token", "create", "--admin", "--for", "carol"])
            try await berth.json(["token", "revoke", token["id"] as? String ?? ""])
            try await berth.json(["token", "create", "--admin", "--for", "dave"])
            #expect(try await eventually { try rows().count == 3 }, "\(log.output)")
            #expect(try rows().allSatisfy { $0["method"] as? String == "admin/token.create" }, "\(log.output)")

            // A reader that goes away ends it at the next row (signal 0 only asks whether it lives).
            let head = try Background(
                ["/bin/sh", "-c", "'\(Repository.binary("berth"))' audit tail -f --state '\(berth.state)' | head -n 1"], in: folder)
            defer { head.end() }
            #expect(await eventually { !head.output.isEmpty })
            try await berth.json(["token", "create", "--admin"])
            #expect(await head.end(0) == 0)
        }
    }
}
