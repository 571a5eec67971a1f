import ArgumentParser
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
    var cgroupPrefix: String { "/berth-\(key)" }

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
        // sudo does not keep the environment.
        let state = getenv("BERTH_STATE").map { " --state \(String(cString: $0))" } ?? ""
        throw Failure("\(CommandPath.current) needs root: \(why)", hint: "sudo \(CommandPath.current)\(state) …")
    }
}

/// `--state`
struct StateOption: ParsableArguments {
    @Option(name: .customLong("state"), help: ArgumentHelp("State directory (default: $BERTH_STATE, else /var/lib/berth; not as root: $XDG_STATE_HOME/berth).", valueName: "dir"))
    var state: String?

    func installation() throws -> Installation { try Installation(state: state) }
}

/// `--json`
struct JSONOption: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Print JSON instead of text.")
    var json = false
}
