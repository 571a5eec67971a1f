import JSONText

/// The servers of a client's configuration: `mcpServers` of Claude Desktop, Claude Code and Cursor, `servers` and `inputs` of VS Code.
/// Comments and trailing commas are passed over. An entry that cannot be understood is kept with its reason, and takes no other with it.
public struct ImportFile: Sendable, Equatable {
    /// Bytes of a file.
    public static let maximumBytes = 1 << 20
    /// Servers of a file.
    public static let maximumServers = 64
    static let maximumDepth = 32

    /// One entry, as it stands.
    public struct Server: Sendable, Equatable {
        public var name: String
        public var start: Start
        /// The file switches it off.
        public var isDisabled = false
        /// What was not understood, a line each; no values.
        public var remarks: [String] = []
    }

    public enum Start: Sendable, Equatable {
        case process(Process)
        /// A server elsewhere: its address with nothing behind the host.
        case remote(host: String)
        case broken(Refusal)
    }

    /// A program with its arguments; texts may hold placeholders.
    public struct Process: Sendable, Equatable {
        public var command: String
        public var arguments: [String] = []
        public var environment: [(name: String, value: String)] = []
        public var directory: String?

        public static func == (left: Process, right: Process) -> Bool {
            left.command == right.command && left.arguments == right.arguments && left.directory == right.directory
                && left.environment.elementsEqual(right.environment) { $0 == $1 }
        }
    }

    /// A value that VS Code asks its user for.
    public struct Input: Sendable, Equatable {
        public var id: String
        /// What it is, for who is asked.
        public var description: String
        /// `password` is not false: it is not shown while it is typed, and kept as a secret.
        public var isSecret: Bool
        public var standard: String?
    }

    /// In the file's order.
    public var servers: [Server] = []
    public var inputs: [Input] = []
    /// The member that holds them: `mcpServers` or `servers`.
    public private(set) var section = "mcpServers"
    public var remarks: [String] = []

    /// - Parameter file: named in errors, which never show a value.
    public init(parsing bytes: [UInt8], file: String) throws(Refusal) {
        guard bytes.count <= Self.maximumBytes else {
            throw Refusal("\(file) is over 1 MiB", "write the servers that are to be imported into a file of their own")
        }
        // What some editors put before a text.
        let text = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
        let root: JSONValue
        do {
            root = try JSONValue(
                parsing: CommentedJSON.plain(text), limits: ScanLimits(maximumBytes: Self.maximumBytes, maximumDepth: Self.maximumDepth))
        } catch {
            let (line, column) = ConfigEdit.place(error.offset, in: text)
            throw Refusal("\(file) is no JSON: line \(line), column \(column): \(error.reason.rawValue)", "mend that line")
        }
        let (entries, place, section) = try Self.entries(of: root, file)
        self.section = section
        guard entries.count <= Self.maximumServers else {
            throw Refusal("\(file) has \(entries.count) servers", "import \(Self.maximumServers) at a time: split the file")
        }
        servers = entries.members.map { Server(name: $0.key, reading: $0.value) }
        inputs = (place["inputs"]?.arrayValue ?? []).prefix(Self.maximumServers).compactMap(Input.init)
        if let projects = root["projects"]?.objectValue {
            let more = projects.members.reduce(0) { $0 + ($1.value["mcpServers"]?.objectValue?.count ?? 0) }
            if more > 0 { remarks.append("\(Count.text(more, "server")) of single projects left out: they are imported from a file of their own") }
        }
    }

    /// The object of servers, and what it stands in.
    private static func entries(of root: JSONValue, _ file: String) throws(Refusal) -> (JSONObject, place: JSONValue, section: String) {
        for place in [root, root["mcp"] ?? .null] {
            for key in ["mcpServers", "servers"] {
                guard let value = place[key] else { continue }
                guard let entries = value.objectValue else { throw Refusal("\(key) in \(file) is no object", example) }
                guard !entries.isEmpty else { throw Refusal("\(file) names no server", example) }
                return (entries, place, key)
            }
        }
        throw Refusal("\(file) has no object mcpServers, nor servers", example)
    }

    static let example = #"{"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time"]}}}"#
}

/// Why something cannot be imported, and what to do about it; without any value of the file.
public struct Refusal: Error, Sendable, Equatable {
    public var reason: String
    public var remedy: String

    public init(_ reason: String, _ remedy: String) {
        self.reason = reason
        self.remedy = remedy
    }
}

extension ImportFile.Input {
    init?(_ value: JSONValue) {
        guard let id = value["id"]?.stringValue, !id.isEmpty else { return nil }
        self.id = id
        description = String((value["description"]?.stringValue ?? id).prefix(200))
        isSecret = value["password"]?.boolValue ?? false
        standard = value["default"]?.stringValue
    }
}

extension ImportFile.Server {
    private static let known = [
        "command", "args", "env", "cwd", "type", "url", "serverUrl", "headers", "disabled", "envFile",
        // What clients keep for themselves.
        "autoApprove", "alwaysAllow", "timeout", "description", "gallery", "version", "dev", "trust", "icon",
    ]

    init(name: String, reading entry: JSONValue) {
        self.name = name
        do throws(Refusal) {
            guard let members = entry.objectValue else { throw Refusal("the entry is no object", ImportFile.example) }
            isDisabled = members["disabled"]?.boolValue == true
            start = try Self.start(of: members)
            remarks = members.keys.filter { !Self.known.contains($0) }.map { "\($0.prefix(64)) is not understood" }
        } catch {
            start = .broken(error)
        }
    }

    private static func start(of members: JSONObject) throws(Refusal) -> ImportFile.Start {
        let type = members["type"]?.stringValue ?? ""
        if let url = members["url"] ?? members["serverUrl"] {
            guard let text = url.stringValue, let host = WebAddress(text)?.origin else {
                throw Refusal("url is no address of http or https", #"for example "https://mcp.example.com/mcp""#)
            }
            return .remote(host: host)
        }
        guard ["", "stdio"].contains(type) else {
            throw Refusal(
                "type is \(["http", "sse", "streamable-http", "ws"].contains(type) ? type : "none that is known"), and there is no url",
                #"add "url", or write "type": "stdio""#)
        }
        if members["envFile"]?.isNull == false { throw Refusal("envFile is a file of the client's", "write its lines into env") }
        guard let command = members["command"]?.stringValue, !command.isEmpty, !command.utf8.contains(0) else {
            if let meant = members.keys.first(where: { Nearest.name(to: $0, among: ["command"]) != nil }), members["command"] == nil {
                throw Refusal("it has no command, but \(meant.prefix(64))", "did you mean command?")
            }
            throw Refusal("it has no command, and no url", ImportFile.example)
        }
        var process = ImportFile.Process(command: command)
        process.arguments = try texts(members["args"], "args")
        guard process.arguments.count <= 256 else { throw Refusal("args holds more than 256 words", "put them into a file of the server's") }
        if let value = members["env"], !value.isNull {
            guard let variables = value.objectValue else { throw Refusal("env is no object", #"for example {"LOG_LEVEL": "info"}"#) }
            for (key, value) in variables.members { process.environment.append((key, try variable(key, value))) }
        }
        guard process.environment.count <= 256 else { throw Refusal("env holds more than 256 variables", "leave some out") }
        if let value = members["cwd"], !value.isNull {
            guard let text = value.stringValue, !text.isEmpty, !text.utf8.contains(0) else {
                throw Refusal("cwd is no path", "give the path of a directory")
            }
            process.directory = text
        }
        return .process(process)
    }

    private static func texts(_ value: JSONValue?, _ key: String) throws(Refusal) -> [String] {
        guard let value, !value.isNull else { return [] }
        var texts: [String] = []
        for element in value.arrayValue ?? [.null] {
            guard let text = element.stringValue, !text.utf8.contains(0) else {
                throw Refusal("\(key) is no list of strings", #"for example ["--verbose", "3"]"#)
            }
            texts.append(text)
        }
        return texts
    }

    private static func variable(_ name: String, _ value: JSONValue) throws(Refusal) -> String {
        guard Variable.isName(name) else {
            throw Refusal("env has '\(name.prefix { $0 != "=" }.prefix(64))', which is no variable's name", "letters, digits and _, as in API_KEY")
        }
        // Numbers and truth values are what is meant where a client takes them.
        switch value {
        case .string(let text) where !text.utf8.contains(0): return text
        case .number(let text): return text
        case .bool(let isTrue): return isTrue ? "true" : "false"
        default: throw Refusal("env: the value of \(name) is no text", #"values are strings: "1""#)
        }
    }
}

/// Names of environment variables.
enum Variable {
    static func isName(_ name: some StringProtocol) -> Bool {
        !name.isEmpty && name.utf8.count <= 128
            && name.utf8.enumerated().allSatisfy { index, byte in
                (0x61...0x7A).contains(byte | 0x20) || byte == 0x5F || (index > 0 && (0x30...0x39).contains(byte))
            }
    }
}
