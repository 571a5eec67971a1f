import MachineAPI

/// What a server's standard error says about why it does not start.
struct StartDiagnosis {
    /// `name==version` of everything in the image.
    var packages: [String]
    /// The server came as a folder, whose requirements are its author's.
    var isFolder: Bool
    /// Where it is to listen, if it speaks HTTP.
    var http: MachineConfig.HTTP?

    /// What it may not be.
    private var kind: String {
        http.map { "a Streamable HTTP server that listens on port \($0.port) of 127.0.0.1" } ?? "an MCP server on standard input and output"
    }

    /// - Parameters:
    ///   - log: of its machine, whose agent tells which host was refused.
    ///   - reason: what the orchestrator or the agent says of its end.
    func hint(stderr: String, log: String = "", reason: String = "") -> String {
        if Self.isShort(reason) { return "give it more memory: --memory, in MiB" }
        let lines = stderr.split(separator: "\n")
        if lines.contains(where: { $0.contains("exec ") && $0.contains("No such file or directory") }) {
            return "the first line (#!) of its file names a program that the image does not have, /usr/bin/env for one: use -- python3 FILE"
        }
        if let line = lines.first(where: { $0.contains("version `GLIBC") || $0.contains("error while loading shared libraries: ") }) {
            return line.contains("version `GLIBC")
                ? "it is linked to a newer C library than its image has: link it statically, or build it where the C library is older"
                : "a library that it is linked to is not in its image: link it statically"
        }
        if http == nil, let port = lines.lazy.compactMap(Self.announcedPort).first {
            return "it speaks HTTP on port \(port), and not on standard input and output: give --http \(port)"
        }
        // Not what the bridge says of itself.
        let said = lines.filter { line in
            !line.hasPrefix("incident ") && !["server process ", "serving machine "].contains { line.contains($0) }
        }
        if !said.isEmpty, said.allSatisfy({ $0.contains(Self.noise) }) {
            return "it prints what is no MCP message: is it \(kind)?"
        }
        if let line = lines.last(where: { $0.contains("can't open file ") }), let file = Self.quoted(line, after: "can't open file ") {
            return "the image has no \(file): give the file's path in the folder"
        }
        // The last error is the one that ended it; an earlier one may have been handled.
        guard let error = lines.last(where: { line in Self.errors.contains { line.hasPrefix($0) } }) else {
            if let hint = Self.network(lines, log) { return hint }
            return said.isEmpty
                ? "it wrote nothing: is it \(kind)? --arg, --env and --secret give what it may miss"
                : "its standard error is above; --arg, --env and --secret give what it may miss"
        }
        if let module = Self.quoted(error, after: "No module named "), isFolder && sdk == nil || !Self.isSDK(module) {
            return isFolder
                ? "the image has no module \(module): name its package in a file and give it with --requirements"
                : "its dependencies do not bring the module \(module): choose another version, or add its package with --constraint"
        }
        if let sdk, Self.isAboutSDK(error) { return "its code does not fit mcp \(sdk): add --constraint 'mcp<2'" }
        if error.hasPrefix("ImportError") || error.hasPrefix("AttributeError") {
            return isFolder ? "its standard error is above" : "a dependency may be too new for it: pin an older one with --constraint"
        }
        return "its standard error is above; --arg, --env and --secret give what it may miss"
    }

    /// Whether the kernel ended it for want of memory.
    static func isShort(_ reason: String) -> Bool { reason.contains("oom_killed") }

    /// `Uvicorn running on http://127.0.0.1:8000 (…)`, and what others say at their start.
    private static func announcedPort(_ line: Substring) -> Int? {
        guard let end = line.firstRange(of: " on http://")?.upperBound else { return nil }
        let authority = line[end...].prefix { $0 != "/" && $0 != " " }
        guard let colon = authority.lastIndex(of: ":"), let port = Int(authority[authority.index(after: colon)...].prefix { $0.isNumber }),
            (1_024...65_535).contains(port)
        else { return nil }
        return port
    }

    /// For a server that ended because it did not reach somebody.
    private static func network(_ lines: [Substring], _ log: String) -> String? {
        guard lines.contains(where: { line in networkErrors.contains { line.contains($0) } }) else { return nil }
        guard let option = log.components(after: "; to allow it: ").last else {
            return "it calls out, and its machine reaches nobody that is not named: --egress HOST for each host"
        }
        return "it calls out, and a host was refused to it: add \(option)"
    }

    private static let networkErrors = [
        "Name or service not known", "Temporary failure in name resolution", "Network is unreachable", "Connection reset by peer", "EAI_AGAIN",
        "ENOTFOUND", "ENETUNREACH", "ECONNRESET", "no such host", "server misbehaving", "failed to lookup address", "NameResolutionError",
    ]

    /// How the bridge tells of a line that is no message.
    private static let noise = "not a message on the server's stdout"

    private static let errors = ["ModuleNotFoundError", "ImportError", "AttributeError", "TypeError"]

    /// The SDK's version, where it is one that dropped what servers of version 1 import and decorate with.
    private var sdk: Substring? {
        guard let version = packages.first(where: { $0.hasPrefix("mcp==") })?.dropFirst("mcp==".count),
            let major = version.split(separator: ".").first.flatMap({ Int($0) }), major >= 2
        else { return nil }
        return version
    }

    private static func isSDK(_ module: String) -> Bool { module == "mcp" || module.hasPrefix("mcp.") }

    /// Whether an error is about what the SDK offers: its modules, and the classes that servers decorate with.
    private static func isAboutSDK(_ error: Substring) -> Bool {
        let signs = ["'mcp", "mcp.", "'Server' object", "'FastMCP' object", "Server.", "FastMCP.", "Server()", "FastMCP()"]
        return signs.contains { error.contains($0) }
    }

    private static func quoted(_ line: Substring, after phrase: String) -> String? {
        guard let start = line.firstRange(of: phrase)?.upperBound else { return nil }
        let rest = line[start...].drop { $0 == "'" || $0 == "\"" }
        let word = rest.prefix { $0 != "'" && $0 != "\"" }
        return word.isEmpty ? nil : String(word.prefix(100))
    }

    /// Of a machine's log (`info: [pid] line`) what its last server process wrote, in full; everything where none wrote anything.
    static func lastProcess(_ log: String) -> String {
        let lines = log.split(separator: "\n").map { line -> (pid: Substring?, text: Substring) in
            guard let open = line.firstRange(of: "info: [")?.upperBound, let close = line[open...].firstRange(of: "] "),
                line[open..<close.lowerBound].allSatisfy(\.isNumber)
            else { return (nil, line) }
            return (line[open..<close.lowerBound], line[close.upperBound...])
        }
        guard let last = lines.last(where: { $0.pid != nil })?.pid else { return log }
        return lines.filter { $0.pid == last }.map(\.text).joined(separator: "\n")
    }
}

extension String {
    /// What follows a phrase to the end of its line, for each line that has it.
    fileprivate func components(after phrase: String) -> [Substring] {
        split(separator: "\n").compactMap { line in line.firstRange(of: phrase).map { line[$0.upperBound...] } }
    }
}
