import Foundation
import Sealing
import TestSupport
import Testing

/// A Berth of a test's own: a state directory, a free port, the real binaries, real machines.
final class Berth: Sendable {
    let state: String
    let port: Int
    let url: String
    /// Goes before every command, for a Berth in a namespace of its own.
    let prefix: [String]

    static let isPossible = geteuid() == 0

    init(state: String? = nil, prefix: [String] = []) throws {
        self.prefix = prefix
        self.state = state ?? "/var/tmp/berth-test-\(UUID().uuidString.prefix(8).lowercased())/state"
        port = try FreePort.take()
        url = "http://127.0.0.1:\(port)"
    }

    /// A Berth for the length of `body`, ended whether it succeeds or not.
    static func run(
        state: String? = nil, prefix: [String] = [], _ location: SourceLocation = #_sourceLocation, _ body: (Berth) async throws -> Void
    ) async throws {
        let berth = try Berth(state: state, prefix: prefix)
        do {
            try await body(berth)
        } catch {
            await berth.end(location)
            throw error
        }
        await berth.end(location)
    }

    /// Starts it and answers what `up --json` printed.
    @discardableResult
    func up(_ extra: [String] = []) async throws -> [String: Any] {
        try? FileManager.default.createDirectory(
            atPath: (state as NSString).deletingLastPathComponent, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let result = try await run(["up", "--listen", "127.0.0.1:\(port)", "--detach", "--json"] + extra)
        guard result.status == 0, let json = result.lastJSON else { throw Trouble("up: \(result.status) \(result.output) \(result.errors) \(log)") }
        return json
    }

    /// `berth …` with this state.
    func run(_ arguments: [String], environment: [String: String] = [:], input: String? = nil, seconds: Double = 180) async throws -> CommandResult {
        var variables = environment
        variables["BERTH_STATE"] = state
        return try await Command.run(prefix + [Repository.binary("berth")] + arguments, environment: variables, input: input, seconds: seconds)
    }

    /// The same, expected to succeed; its last line as JSON. What stands `behind` goes after `--`.
    @discardableResult
    func json(_ arguments: [String], input: String? = nil, behind command: [String] = []) async throws -> [String: Any] {
        let result = try await run(arguments + ["--json"] + (command.isEmpty ? [] : ["--"] + command), input: input)
        guard result.status == 0, let json = result.lastJSON else {
            throw Trouble("\(arguments.joined(separator: " ")): \(result.status) \(result.output) \(result.errors)")
        }
        return json
    }

    /// Hosts a fixture of Tests/Fixtures as a connector.
    func add(_ name: String, fixture: String, _ extra: [String] = []) async throws {
        let folder = (state as NSString).deletingLastPathComponent + "/\(name)-source"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: Repository.fixture(fixture), toPath: folder + "/server.py")
        let result = try await run(
            ["connector", "add", name, "--dir", folder, "--json"] + extra + ["--", "/usr/bin/python3", "server.py"])
        guard result.status == 0 else { throw Trouble("connector add \(name): \(result.output) \(result.errors) \(log)") }
    }

    func token(for principal: String, vmcp: String) async throws -> (id: String, url: String, token: String) {
        let answer = try await json(["token", "create", "--for", principal, "--vmcp", vmcp])
        return (answer["id"] as? String ?? "", answer["url"] as? String ?? "", answer["token"] as? String ?? "")
    }

    func audit(_ limit: Int = 1_000) async throws -> [[String: Any]] {
        let result = try await run(["audit", "tail", "-n", "\(limit)", "--json"])
        guard result.status == 0 else { throw Trouble(result.errors) }
        return result.output.split(separator: "\n").compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
    }

    /// Ends everything and removes the state; records what was left behind.
    func end(_ location: SourceLocation = #_sourceLocation) async {
        let down = try? await run(["down"])
        if down?.status != 0 { Issue.record("down: \(down?.errors ?? "") \(log)", sourceLocation: location) }
        if let left = try? await run(["doctor", "--leftovers", "--json"]), left.status != 0 {
            Issue.record("left over: \(left.output) \(left.errors)", sourceLocation: location)
        }
        try? FileManager.default.removeItem(atPath: (state as NSString).deletingLastPathComponent)
    }

    /// What names this state's run directory and cgroups.
    var key: String { get throws { String(try SHA256.hex(state).prefix(10)) } }

    /// A machine in one of its boots.
    struct Boot: Equatable { var machine: String; var boot: String }

    /// The one machine that runs.
    func machine() async throws -> Boot {
        let machines = try await json(["machines", "list"])["machines"] as? [[String: Any]] ?? []
        let started = machines.filter { $0["state"] as? String == "started" }
        guard started.count == 1 else { throw Trouble("\(started.count) machines started") }
        return Boot(machine: started[0]["id"] as? String ?? "", boot: (started[0]["berth"] as? [String: Any])?["boot_id"] as? String ?? "")
    }

    /// The log of all three processes.
    var wholeLog: String { (try? String(contentsOfFile: state + "/berth.log", encoding: .utf8)) ?? "" }

    /// Its end.
    var log: String { String(wholeLog.suffix(4_000)) }

    /// The pid of a process of this Berth by its name in the process list.
    func pid(of name: String) throws -> pid_t {
        for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
            guard let pid = pid_t(entry), let line = try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8) else { continue }
            let words = line.split(separator: "\0").map(String.init)
            if words.count > 1, words[1] == name, words.contains(state) { return pid }
        }
        throw Trouble("no process \(name)")
    }

}

struct Trouble: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
