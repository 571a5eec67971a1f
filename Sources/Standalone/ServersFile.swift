import JSONText

/// A file of servers as clients keep it: `{"mcpServers": {NAME: {"command", "args", "env", "cwd"}}}`, or `servers` in its place and with
/// comments, as VS Code has it.
public struct ServersFile: Sendable, Equatable {
    public struct Server: Sendable, Equatable {
        public var name: String
        public var command: String
        public var arguments: [String] = []
        public var environment: [String: String] = [:]
        public var directory: String?
    }

    /// In the file's order.
    public var servers: [Server] = []
    /// One line each, for the operator: what was left out, and what was not understood.
    public var remarks: [String] = []

    private static let known = ["command", "args", "env", "cwd", "type"]

    /// - Parameter file: named in errors, which never show a value of `env`.
    public init(parsing bytes: [UInt8], file: String) throws(StandaloneInputError) {
        let root: JSONValue
        do {
            root = try JSONValue(parsing: CommentedJSON.plain(bytes))
        } catch {
            let (line, column) = ConfigEdit.place(error.offset, in: bytes)
            throw StandaloneInputError("\(file) is no JSON: line \(line), column \(column): \(error.reason.rawValue)", hint: "mend that line")
        }
        // VS Code's settings, which are about much else.
        if root["mcpServers"] == nil, root["servers"] == nil, let inner = root["mcp"], inner["servers"] != nil {
            try read(inner, "servers", file, isWhole: false)
        } else {
            try read(root, root["mcpServers"] != nil ? "mcpServers" : "servers", file, isWhole: true)
        }
    }

    /// - Parameter isWhole: nothing else is to be there.
    private mutating func read(_ root: JSONValue, _ section: String, _ file: String, isWhole: Bool) throws(StandaloneInputError) {
        guard let entries = root[section]?.objectValue else {
            throw StandaloneInputError("\(file) has no object mcpServers, nor servers", hint: Self.example)
        }
        for key in root.objectValue?.keys ?? [] where key != section && isWhole { remarks.append("\(file): \(Self.shown(key)) is not understood") }
        for (name, entry) in entries.members { try read(name, entry, file) }
        guard servers.isEmpty else { return }
        guard !entries.members.isEmpty else { throw StandaloneInputError("\(file) names no server to start", hint: Self.example) }
        throw StandaloneInputError("\(file) names no server to start: all have a url", hint: "clients reach those without a bridge")
    }

    private static let example = #"{"mcpServers": {"time": {"command": "mcp-server-time", "args": []}}}"#

    private mutating func read(_ name: String, _ entry: JSONValue, _ file: String) throws(StandaloneInputError) {
        guard Self.isName(name) else {
            throw StandaloneInputError(
                "\(file): '\(Self.shown(name))' is no name for a server", hint: "letters, digits, _ and -, up to 64: it stands in the URL")
        }
        let place = "\(file): \(name)"
        guard let members = entry.objectValue else { throw StandaloneInputError("\(place) is no object", hint: Self.example) }
        if members["url"] != nil || members["serverUrl"] != nil {
            remarks.append("\(place) has a url and is left out: it needs no bridge")
            return
        }
        if let type = members["type"], type != "stdio" {
            throw StandaloneInputError("\(place): type is not stdio", hint: "leave it out, or write \"stdio\"")
        }
        for key in members.keys where !Self.known.contains(key) { remarks.append("\(place): \(Self.shown(key)) is not understood") }
        guard let command = members["command"]?.stringValue, !command.isEmpty, Self.isUsable(command) else {
            if members["command"] == nil, let meant = members.keys.first(where: { Nearest.name(to: $0, among: ["command"]) != nil }) {
                throw StandaloneInputError("\(place) has no command, but \(Self.shown(meant))", hint: "did you mean command?")
            }
            let what = members["command"] == nil ? "has no command" : "has a command that is no text"
            throw StandaloneInputError(
                "\(place) \(what)", hint: #"the program alone, its arguments beside it: "command": "python3", "args": ["server.py"]"#)
        }
        var server = Server(name: name, command: command)
        for argument in try Self.list(members["args"], "\(place): args") {
            guard let text = argument.stringValue, Self.isUsable(text) else {
                throw StandaloneInputError("\(place): args holds something else than strings", hint: #"for example ["--verbose", "3"]"#)
            }
            server.arguments.append(text)
        }
        if let variables = members["env"], !variables.isNull {
            guard let variables = variables.objectValue else {
                throw StandaloneInputError("\(place): env is no object", hint: #"for example {"LOG_LEVEL": "info"}"#)
            }
            for (key, value) in variables.members {
                guard EnvironmentFile.isName(key), let text = value.stringValue, Self.isUsable(text) else {
                    let name = Self.shown(String(key.prefix { $0 != "=" }))
                    throw StandaloneInputError(
                        "\(place): env has an entry that is no variable: \(name)", hint: #"names as in API_KEY, values are strings: "1""#)
                }
                server.environment[key] = text
            }
        }
        if let directory = members["cwd"], !directory.isNull {
            guard let text = directory.stringValue, !text.isEmpty, Self.isUsable(text) else {
                throw StandaloneInputError("\(place): cwd is no path", hint: "give the path of a directory")
            }
            server.directory = text
        }
        let texts = [server.command, server.directory ?? ""] + server.arguments + server.environment.values.sorted()
        if texts.contains(where: { $0.contains("${") }) {
            remarks.append("\(place): ${…} stands for nothing here, and is passed on as it is")
        }
        servers.append(server)
    }

    private static func list(_ value: JSONValue?, _ place: String) throws(StandaloneInputError) -> [JSONValue] {
        guard let value, !value.isNull else { return [] }
        guard let list = value.arrayValue else { throw StandaloneInputError("\(place) is no list", hint: #"for example ["--verbose"]"#) }
        return list
    }

    /// The kernel ends its strings at a zero byte.
    private static func isUsable(_ text: String) -> Bool { !text.utf8.contains(0) }

    static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) || $0 == 0x5F || $0 == 0x2D }
    }

    /// A key of the file, in a line.
    private static func shown(_ key: String) -> String { String(key.prefix(64)) }
}
