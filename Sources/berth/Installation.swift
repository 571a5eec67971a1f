import ArgumentParser
import AuthorCommands
import FoundationEssentials
import Glibc
import Sealing

/// One state directory, and every path that follows from it.
struct Installation {
    /// Absolute, without links in it.
    let state: String

    /// First ten hex digits over the state's path: names the run directory and the cgroups, so that a socket's path stays
    /// short whatever the state's is, and several states run side by side.
    let key: String

    init(state given: String?) throws {
        if let given, given.isEmpty {
            throw Failure("--state is empty", hint: "give a directory, or leave --state out for $BERTH_STATE or the default", code: 64)
        }
        let environment = ProcessInfo.processInfo.environment
        let chosen = [given, environment["BERTH_STATE"]].compactMap { $0 }.first { !$0.isEmpty } ?? Self.defaultState(environment)
        var path = chosen.hasPrefix("/") ? chosen : FileManager.default.currentDirectoryPath + "/" + chosen
        if let resolved = realpath(path, nil) {
            path = String(cString: resolved)
            free(resolved)
        } else {
            path = Self.cleaned(path)
        }
        state = path
        key = String(try SHA256.hex(path).prefix(10))
    }

    /// Where a command finds it that is given neither `--state` nor `BERTH_STATE`, as root.
    var isDefault: Bool { state == "/var/lib/berth" }

    /// The options that name it to a command, with a blank before them; empty for the default.
    var stateOption: String { isDefault ? "" : " --state \(state)" }

    var runDirectory: String { "/run/berth/\(key)" }
    var controlSocket: String { runDirectory + "/control.sock" }
    var machinesSocket: String { runDirectory + "/machines.sock" }
    var doorsDirectory: String { runDirectory + "/doors" }
    /// Where the gateway sees its own part of the state, in its private mount namespace.
    var gatewayMount: String { runDirectory + "/gateway-state" }
    var gatewayState: String { state + "/gateway" }
    var orchestratorState: String { state + "/orchestrator" }
    var lock: String { state + "/lock" }
    var log: String { state + "/berth.log" }
    /// `address:port` where AI clients were last served, which have it in their configuration.
    var lastListen: String? {
        guard let bytes = readFile(state + "/listen"), bytes.count <= 256 else { return nil }
        let text = String(decoding: bytes, as: UTF8.self).filter { $0 != "\n" }
        return text.isEmpty ? nil : text
    }

    /// Keeps it for the next `berth up` that is given none.
    func remember(listen: String) throws {
        let path = state + "/listen"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw Failure("\(path) cannot be written: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let bytes = Array((listen + "\n").utf8)
        guard write(descriptor, bytes, bytes.count) == bytes.count else {
            throw Failure("\(path) cannot be written: \(String(cString: strerror(errno)))")
        }
    }
    var cgroupPrefix: String { "/berth-\(key)" }

    /// Files that a state has beside its two parts.
    static let files: Set<String> = ["lock", "version", "listen", RememberedOptions.name, RememberedOptions.name + ".new", "berth.log"]

    private static func defaultState(_ environment: [String: String]) -> String {
        if geteuid() == 0 { return "/var/lib/berth" }
        if let base = environment["XDG_STATE_HOME"], base.hasPrefix("/") { return base + "/berth" }
        return (environment["HOME"] ?? "/tmp") + "/.local/state/berth"
    }

    /// Without `.`, `..` and doubled slashes; for a path that does not exist yet.
    private static func cleaned(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }
}

/// What only root can do.
enum Rights {
    /// - Parameter why: Continues "berth … needs root: ".
    static func needRoot(_ why: String) throws {
        guard geteuid() != 0 else { return }
        let state = getenv("BERTH_STATE").map { String(cString: $0) }
        throw Failure("\(CommandPath.current) needs root: \(why)", hint: again(CommandLine.arguments, state: state))
    }

    /// The same command under sudo, which does not keep the environment.
    static func again(_ arguments: [String], state: String?) -> String {
        let program = arguments.first.flatMap { $0.contains("/") ? $0 : nil } ?? "berth"
        let own = arguments.dropFirst().prefix { $0 != "--" }
        let isGiven = own.contains { $0 == "--state" || $0.hasPrefix("--state=") }
        let added = state.flatMap { $0.isEmpty || isGiven ? nil : ["--state", $0] } ?? []
        return (["sudo", program] + own + added + arguments.dropFirst(1 + own.count)).map(quoted).joined(separator: " ")
    }

    /// As a shell takes it for one word.
    private static func quoted(_ word: String) -> String {
        let isPlain = !word.isEmpty && word.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "-_./=:@%+,".utf8.contains(byte)
        }
        return isPlain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }
}

/// `--state`
struct StateOption: ParsableArguments {
    @Option(
        name: .customLong("state"),
        help: ArgumentHelp(
            "State directory (default: $BERTH_STATE, else /var/lib/berth; not as root: $XDG_STATE_HOME/berth).", valueName: "dir"))
    var state: String?

    func installation() throws -> Installation { try Installation(state: state) }
}
