import JSONText
import Sealing

extension BootDocument {
    private static let members: Set<String> = [
        "org", "app", "machine", "boot", "kid", "sign_key", "seal_key", "generation", "command", "directory", "environment", "transport", "http",
        "child_limits", "mode", "era", "start_timeout_seconds", "egress", "log_level", "owner",
        "app_keys",
    ]

    /// The document's bytes. They hold the keys: they go into a sealed memory file or its like, and nowhere else.
    public func encode() throws(DoorError) -> [UInt8] {
        let limits: JSONObject = [
            "maximum_children": .int(childLimits.maximumChildren), "idle_seconds": .int(childLimits.idleSeconds),
            "processes": .int(childLimits.processes), "open_files": .int(childLimits.openFiles), "file_bytes": .int(childLimits.fileBytes),
            "spare_below_bytes": .int(childLimits.spareBelowBytes),
        ]
        var document: JSONObject = [
            "org": .string(org), "app": .string(app), "machine": .string(machine), "boot": .string(boot), "kid": .string(kid),
            "sign_key": .string(Base64URL.encode(signKey.copy)), "seal_key": .string(Base64URL.encode(sealKey.copy)),
            "generation": .int(generation), "command": .texts(command), "directory": .string(directory), "environment": .map(environment),
            "transport": .string(transport.rawValue), "child_limits": .object(limits), "mode": .string(mode.rawValue), "era": .string(era.rawValue),
            "start_timeout_seconds": .int(startTimeoutSeconds), "egress": .texts(egress), "log_level": .string(logLevel.rawValue),
        ]
        if let owner { document["owner"] = .string(owner) }
        if let appKeys {
            document["app_keys"] = .object([
                "kid": .string(appKeys.kid), "generation": .int(appKeys.generation), "sign_key": .string(Base64URL.encode(appKeys.sign.copy)),
                "seal_key": .string(Base64URL.encode(appKeys.seal.copy)),
            ])
        }
        if let http { document["http"] = .object(["port": .int(http.port), "path": .string(http.path)]) }
        let bytes = JSONValue.object(document).serialized()
        guard bytes.count <= Self.maximumSize else { throw .tooLarge(field: "document", limit: Self.maximumSize) }
        // What an agent would refuse is refused where it is made.
        _ = try BootDocument(decoding: bytes)
        return bytes
    }

    /// Reads a document; every member must be there and well-formed, the keys above all.
    public init(decoding bytes: [UInt8]) throws(DoorError) {
        let reader = try DocumentReader(bytes, limit: Self.maximumSize)
        try reader.only(Self.members)
        let limits = try reader.nested("child_limits")
        org = try reader.string("org")
        app = try reader.string("app")
        machine = try reader.string("machine")
        boot = try reader.string("boot")
        kid = try reader.string("kid")
        signKey = try reader.key("sign_key")
        sealKey = try reader.key("seal_key")
        generation = try reader.int("generation", in: 1...Int(Int32.max))
        command = try reader.strings("command")
        directory = try reader.string("directory")
        environment = try reader.map("environment")
        transport = try reader.choice("transport", Transport.self)
        http = reader.object["http"] == nil ? nil : try HTTPPlace(try reader.nested("http"))
        childLimits = ChildLimits(
            maximumChildren: try limits.int("maximum_children", in: 1...10_000), idleSeconds: try limits.int("idle_seconds", in: 1...2_592_000),
            processes: try limits.int("processes", in: 1...1_000_000), openFiles: try limits.int("open_files", in: 16...1_048_576),
            fileBytes: try limits.int("file_bytes", in: 0...(1 << 50)),
            spareBelowBytes: try limits.int("spare_below_bytes", in: 0...(1 << 50)))
        mode = try reader.choice("mode", Mode.self)
        era = try reader.choice("era", EraChoice.self)
        startTimeoutSeconds = try reader.int("start_timeout_seconds", in: 1...86_400)
        owner = reader.object["owner"] == nil ? nil : try reader.string("owner")
        egress = try reader.strings("egress")
        logLevel = try reader.choice("log_level", LogLevel.self)

        appKeys = try reader.object["app_keys"].map { _ throws(DoorError) in try DoorKeys(try reader.nested("app_keys"), app: app) }
        guard owner.map({ !$0.isEmpty && $0.utf8.count <= 256 }) ?? true else { throw .malformed(field: "owner") }
        guard (http != nil) == (transport == .http) else { throw .malformed(field: "http") }
        guard let program = command.first, !program.isEmpty, command.allSatisfy({ !$0.utf8.contains(0) }) else {
            throw .malformed(field: "command")
        }
        guard directory.hasPrefix("/"), !directory.utf8.contains(0) else { throw .malformed(field: "directory") }
        guard transport == .job || (try? EgressList(egress)) != nil else { throw .malformed(field: "egress") }
        guard environment.allSatisfy({ !$0.isEmpty && !$0.utf8.contains(0) && !$0.utf8.contains(UInt8(ascii: "=")) && !$1.utf8.contains(0) }) else {
            throw .malformed(field: "environment")
        }
        guard Self.isKid(kid) else { throw .malformed(field: "kid") }
    }

    fileprivate static func isKid(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }
}

extension DoorKeys {
    fileprivate init(_ reader: DocumentReader, app: String) throws(DoorError) {
        try reader.only(["kid", "generation", "sign_key", "seal_key"])
        let kid = try reader.string("kid")
        guard BootDocument.isKid(kid) else { throw .malformed(field: "app_keys.kid") }
        self.init(
            scope: .app(app), kid: kid, generation: try reader.int("generation", in: 1...Int(Int32.max)), sign: try reader.key("sign_key"),
            seal: try reader.key("seal_key"))
    }
}

extension BootDocument.HTTPPlace {
    /// What a path of an HTTP request may be.
    public static func isPath(_ path: String) -> Bool {
        path.hasPrefix("/") && path.utf8.count <= 512 && path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }
    }

    fileprivate init(_ reader: DocumentReader) throws(DoorError) {
        try reader.only(["port", "path"])
        port = try reader.int("port", in: 1...65_535)
        path = try reader.string("path")
        guard Self.isPath(path) else { throw .malformed(field: "http.path") }
    }
}

extension BootDocument: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "BootDocument(app \(app), machine \(machine), boot \(boot), kid \(kid))" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
