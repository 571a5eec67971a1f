import JSONText

/// What becomes of each server of a file: a connector, or a refusal with its remedy. Nothing is changed and nothing is asked; what the
/// host's disk holds is told by ``Surroundings``.
public struct ImportPlan: Sendable, Equatable {
    public struct Item: Sendable, Equatable {
        /// As the file calls it.
        public var given: String
        /// The connector's name.
        public var name: String
        public var outcome: Outcome
    }

    public enum Outcome: Sendable, Equatable {
        case connector(Connector)
        case refused(Refusal)
        /// The file switches it off.
        case disabled
    }

    /// In the file's order.
    public var items: [Item] = []

    public var connectors: [(name: String, connector: Connector)] {
        items.compactMap { item in
            if case .connector(let connector) = item.outcome { return (item.name, connector) }
            return nil
        }
    }

    /// - Parameters:
    ///   - values: what placeholders stand for.
    ///   - registry: where OCI images are that name no registry; nil where nobody said.
    public init(_ file: ImportFile, values: [Placeholder: String] = [:], registry: String? = nil, surroundings: Surroundings) {
        let open = Set(file.inputs.filter { !$0.isSecret }.map { Placeholder(.input, $0.id) })
        var taken: Set<String> = []
        for server in file.servers {
            let name = ConnectorName.make(server.name, besides: taken)
            taken.insert(name)
            items.append(Item(given: server.name, name: name, outcome: Self.outcome(of: server, values, open, registry, surroundings)))
        }
    }

    private static func outcome(
        of server: ImportFile.Server, _ values: [Placeholder: String], _ open: Set<Placeholder>, _ registry: String?, _ surroundings: Surroundings
    ) -> Outcome {
        if server.isDisabled { return .disabled }
        switch server.start {
        case .broken(let refusal): return .refused(refusal)
        case .remote(let host):
            return .refused(Refusal("it is a server elsewhere, at \(host)", "Berth hosts what runs here: leave it in the client's configuration"))
        case .process(let process):
            do throws(Refusal) {
                var connector = try Recognition(process: process, values: values, open: open, registry: registry, surroundings: surroundings)
                    .connector()
                connector.remarks = server.remarks + connector.remarks
                return .connector(connector)
            } catch {
                return .refused(error)
            }
        }
    }
}

extension ImportPlan {
    /// A connector to be.
    public struct Connector: Sendable, Equatable {
        public var source: Source
        /// In place of the source's own, where it is not empty.
        public var command: [String] = []
        /// No secret is among them: `${secret:NAME}` stands for one.
        public var arguments: [String] = []
        public var environment: [String: String] = [:]
        /// Values.
        public var secrets: [String: String] = [:]
        /// Hosts that its own settings name, as `--egress` takes them.
        public var egress: [String] = []
        public var memoryMB: Int?
        public var cpus: Double?
        /// What is not as it was with the client, a line each; no values.
        public var remarks: [String] = []

        public init(source: Source) { self.source = source }
    }

    /// What a connector is made of, as the options of `berth connector add` say it.
    public enum Source: Sendable, Equatable {
        case pypi(String, with: [String])
        case npm(String)
        case oci(String)
        case folder(String, requirements: Requirements?)
        case binary(String)

        public enum Requirements: Sendable, Equatable {
            case file(String)
            /// Lines of one.
            case list([String])
        }

        /// The option of `berth connector add` with its value.
        public var text: String {
            switch self {
            case .pypi(let spec, let with): "--pypi \(spec)" + with.map { " --with \($0)" }.joined()
            case .npm(let spec): "--npm \(spec)"
            case .oci(let reference): "--oci \(reference)"
            case .folder(let path, let requirements):
                switch requirements {
                case nil: "--dir \(path)"
                case .file(let file): "--dir \(path) --requirements \(file)"
                case .list(let list): "--dir \(path) with \(list.joined(separator: ", "))"
                }
            case .binary(let path): "--binary \(path)"
            }
        }

        /// What of it is a name: of a package, an image.
        var words: [String] {
            switch self {
            case .pypi(let spec, let with): [spec] + with
            case .npm(let spec): [spec]
            case .oci(let reference): [reference]
            case .folder(_, requirements: .list(let list)): list
            case .folder, .binary: []
            }
        }

        /// Whether words of its command line can be kept out of the kernel's process list: its interpreter is told them another way.
        var hidesArguments: Bool {
            switch self {
            case .pypi, .npm, .folder: true
            case .oci, .binary: false
            }
        }
    }
}

/// What this host's disk holds under a path.
public struct Surroundings: Sendable {
    public enum Look: Sendable, Equatable {
        case nothing
        case directory
        /// A program that the kernel starts by itself.
        case program
        /// With the interpreter of its first line, or an empty one.
        case text(interpreter: String)
    }

    /// Of an absolute path.
    public var look: @Sendable (String) -> Look

    public init(look: @escaping @Sendable (String) -> Look) { self.look = look }

    func has(_ path: String) -> Bool { look(path) != .nothing }
}

extension ImportPlan {
    private static let wholes: Set<Substring> = ["root", "tmp", "home", "usr", "etc", "var", "opt", "srv", "mnt"]
    /// Of the system: keys, accounts, states of services, devices.
    private static let systems = ["etc", "proc", "sys", "dev", "run", "boot", "lost+found", "var/lib", "var/run", "var/log", "var/spool", "var/mail", "var/backups", "var/cache"]
    private static let keepers: Set<Substring> = [".ssh", ".aws", ".azure", ".gnupg", ".kube", ".docker", ".password-store"]

    /// Why all of an absolute path's folder must not go into an image; nil where it may.
    public static func problem(ofFolder folder: String) -> Refusal? {
        let parts = folder.split(separator: "/").filter { $0 != "." }
        let remedy = "move it into a folder of its own"
        guard !parts.contains(".."), parts.count > 1 || parts.count == 1 && !wholes.contains(parts[0]),
            !(parts.count == 2 && ["home", "Users"].contains(parts[0]))
        else {
            return Refusal("its file lies in \(folder.isEmpty ? "/" : folder), all of which would go into an image", remedy)
        }
        if let system = system(ofFolder: folder) { return Refusal("its file lies in \(folder), and \(system) belongs to the system", remedy) }
        guard let keeper = parts.first(where: keepers.contains) else { return nil }
        return Refusal("its file lies in \(folder), and \(keeper) is where keys are kept", remedy)
    }
}

extension ImportPlan {
    /// The folder of the system that an absolute path lies in; nil where it lies in none.
    public static func system(ofFolder folder: String) -> String? {
        let parts = folder.split(separator: "/").filter { $0 != "." }
        return systems.first { parts.starts(with: $0.split(separator: "/")) }.map { "/" + $0 }
    }
}

/// Names that clients let their users choose freely, as those of connectors: parts of URLs and prefixes of tools.
public enum ConnectorName {
    private static let longest = 32

    /// - Parameter taken: names of others; a number makes it another one.
    public static func make(_ given: String, besides taken: Set<String> = [], fallback: String = "server") -> String {
        var bytes: [UInt8] = []
        for byte in given.lowercased().utf8 {
            let isPlain = (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte)
            if isPlain { bytes.append(byte) } else if bytes.last != 0x2D { bytes.append(0x2D) }
        }
        var name = String(decoding: bytes, as: UTF8.self)[...]
        name = name.drop { $0 == "-" }
        if let first = name.first, first.isNumber { name = "s-" + name }
        var plain = String(name.prefix(longest))
        while plain.hasSuffix("-") { plain.removeLast() }
        if plain.isEmpty { plain = fallback }
        var (result, number) = (plain, 1)
        while taken.contains(result) {
            number += 1
            result = "\(plain.prefix(longest - 1 - "\(number)".count))-\(number)"
        }
        return result
    }

    /// The virtual MCP's name, of the file's path.
    public static func ofFile(_ path: String) -> String {
        let parts = path.split(separator: "/").map(String.init)
        let file = parts.last ?? ""
        switch file {
        case "claude_desktop_config.json": return "claude-desktop"
        case ".claude.json": return "claude-code"
        case "mcp.json", ".mcp.json", "settings.json", "mcp_config.json", "mcp_settings.json":
            // `.cursor/mcp.json`, `.vscode/mcp.json`: the folder tells more.
            let folder = parts.dropLast().last { ![".", ".."].contains($0) }
            return make(folder ?? "imported", fallback: "imported")
        default: return make(file.split(separator: ".").first.map(String.init) ?? "", fallback: "imported")
        }
    }
}
