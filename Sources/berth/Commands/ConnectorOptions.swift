import ArgumentParser
import AuthorCommands
import Gateway
import Glibc
import JSONText
import MCP
import StdioBridge

extension ConnectorCommand {
    /// Whose definition it is.
    struct Named: ParsableArguments {
        @Argument(help: "Name of the connector (a-z, 0-9, -).") var name: String
    }

    /// What `add`, `update` and `image test` have in common.
    struct Definition: ParsableArguments {
        @Option(help: ArgumentHelp("A PyPI package, for example mcp-server-time or name==1.2.", valueName: "spec")) var pypi: String?
        @Option(help: ArgumentHelp("A folder with the server; put its command after --.", valueName: "dir")) var dir: String?
        @OptionGroup var other: SourceOptions
        @Option(help: ArgumentHelp("requirements.txt of the folder's server: locked with hashes and installed.", valueName: "file"))
        var requirements: String?
        @Option(parsing: .singleValue, help: ArgumentHelp("Narrows the resolution, for example 'mcp<2' (repeatable).", valueName: "req"))
        var constraint: [String] = []
        @Option(parsing: .unconditionalSingleValue, help: ArgumentHelp("An argument of the server (repeatable).", valueName: "arg"))
        var arg: [String] = []
        @Option(parsing: .singleValue, help: ArgumentHelp("Environment of the server, for what is not secret (repeatable).", valueName: "k=v"))
        var env: [String] = []
        @Option(
            parsing: .singleValue,
            help: ArgumentHelp(
                "A secret variable: K asks for it (or reads standard input), K=@FILE reads a file (repeatable).", valueName: "k[=@file]"))
        var secret: [String] = []
        @Option(help: ArgumentHelp("Memory of the machine in MiB: 64 to 16384 (default: 256).", valueName: "mib")) var memory: Int?
        @OptionGroup var hosting: HostingOptions
        @Option(help: ArgumentHelp("Processes and threads of the machine at most: 16 to 1024 (default: 64).", valueName: "n")) var pids: Int?
        @Option(help: "Protocol era to speak with the server: auto asks it; legacy for one of both whose tools ask the client while they run.")
        var era: Back.EraChoice?
        @Option(
            help: ArgumentHelp(
                "The server speaks Streamable HTTP on this port of 127.0.0.1 (path: /mcp), and not on standard input and output.",
                valueName: "port[/path]"))
        var http: String?
        @Option(
            parsing: .singleValue,
            help: ArgumentHelp(
                "A host that the server may reach, by name: HOST, *.SUFFIX, with :PORT where it is not 443 (repeatable). None: no network.",
                valueName: "host"))
        var egress: [String] = []
        @Option(
            parsing: .singleValue,
            help: ArgumentHelp(
                "The same for one host that may have a private address, or one of this host (repeatable).", valueName: "host"))
        var egressPrivate: [String] = []
        @OptionGroup var life: LifeOptions
        @OptionGroup var releases: AcceptOption
        @Argument(parsing: .postTerminator, help: "After --, the server's command (--dir), or one in place of the source's own.")
        var command: [String] = []

        /// The request's body; reads secrets and packs the folder, once everything else is known to be right.
        ///
        /// - Parameter change: For an update, which needs nothing but a name.
        func body(_ name: String, _ installation: Installation, change: Change? = nil) async throws -> JSONValue {
            try check(name, change)
            let environment = try Variables.plain(env)
            let hosting = try hosting.json()
            let life = try life.json()
            let folder = try dir.map { try FolderArchive(folder: $0, requirements: requirements) }
            let secrets = try Secrets.values(secret)
            for name in secrets.keys.sorted() where environment[name] != nil {
                throw Failure("\(name) is given as --env too", hint: "give it once, with --secret", code: 64)
            }
            var source = JSONObject()
            if let pypi { source["pypi"] = .string(pypi) }
            if !constraint.isEmpty || change?.noConstraints == true { source["constraints"] = .strings(constraint) }
            if let folder {
                for left in folder.leftOut { Output.error("left out: \(Printable.line(left))") }
                let answer = try await ControlClient.orchestrator(installation).upload("/v1/berth/uploads", folder.tar)
                source["upload"] = answer["digest"] ?? .null
                source["requirements"] = .bool(requirements != nil)
                source["folder"] = .string(folder.name)
            }
            try await other.add(to: &source, installation)
            let (secretsToDrop, variablesToDrop) = (change?.dropSecret ?? [], change?.dropEnv ?? [])
            return .record(
                ("name", .string(name)), ("source", source.isEmpty ? nil : .object(source)),
                ("args", arg.isEmpty && change?.noArgs != true ? nil : .strings(arg)),
                ("command", command.isEmpty ? nil : .strings(command)), ("env", environment.isEmpty ? nil : .strings(environment)),
                ("secrets", secrets.isEmpty ? nil : .strings(secrets)),
                ("drop_secrets", secretsToDrop.isEmpty ? nil : .strings(secretsToDrop)),
                ("drop_env", variablesToDrop.isEmpty ? nil : .strings(variablesToDrop)),
                ("reset", change?.reset == true ? .bool(true) : nil), ("memory_mb", memory.map { .int($0) }), ("pids", pids.map { .int($0) }),
                ("hosting", hosting),
                ("era", era.map { .string($0.rawValue) }), ("http", change?.stdio == true ? .string("") : http.map { .string($0) }),
                ("egress", egress.isEmpty && change?.noEgress != true ? nil : .strings(egress)),
                ("life", life), ("accept", releases.json), ("egress_private", egressPrivate.isEmpty && change?.noEgress != true ? nil : .strings(egressPrivate)))
        }

        private func check(_ name: String, _ change: Change?) throws {
            guard ConnectorRules.isName(name) else {
                throw Failure("'\(name.prefix(64))' is no connector name", hint: ConnectorRules.nameHint, code: 64)
            }
            let sources = [("--pypi", pypi), ("--dir", dir)].compactMap { $0.1 == nil ? nil : $0.0 } + other.given
            if sources.count > 1 { throw Failure("\(sources[0]) and \(sources[1]) exclude each other", hint: "give one of them", code: 64) }
            if dir == nil && requirements != nil {
                throw Failure("--requirements belongs to --dir", hint: "a PyPI package brings its own; narrow them with --constraint", code: 64)
            }
            if dir != nil && requirements == nil && !constraint.isEmpty {
                throw Failure("--constraint narrows requirements, and none are given", hint: "add --requirements FILE", code: 64)
            }
            if change?.noArgs == true, !arg.isEmpty { throw Failure("--arg and --no-args exclude each other", hint: "give one of them", code: 64) }
            if change?.noConstraints == true, !constraint.isEmpty {
                throw Failure("--constraint and --no-constraints exclude each other", hint: "give one of them", code: 64)
            }
            if change?.stdio == true, http != nil { throw Failure("--http and --stdio exclude each other", hint: "give one of them", code: 64) }
            if let http, let (message, hint) = ConnectorRules.httpProblem(http) { throw Failure(message, hint: hint, code: 64) }
            if let word = command.first, word.hasPrefix("-") {
                throw Failure("\(word.prefix(64)) is no program", hint: "arguments of the server go by --arg: --arg \(word.prefix(64))", code: 64)
            }
            if command.contains("--state") {
                Output.note("warning: --state after -- goes to the server; put it before --")
            }
            try checkEgress(change)
            if let dir { try Self.checkFiles(of: command, in: dir) }
            guard change == nil else { return }
            if sources.isEmpty { throw Failure("no source given", hint: "give one of \(ConnectorRules.sourceOptions)", code: 64) }
            if dir != nil && command.isEmpty {
                throw Failure("--dir needs the command of its server", hint: "put it after --, for example -- python3 server.py", code: 64)
            }
        }

        private func checkEgress(_ change: Change?) throws {
            if change?.noEgress == true, !egress.isEmpty || !egressPrivate.isEmpty {
                throw Failure("--egress and --no-egress exclude each other", hint: "--egress alone replaces the whole list", code: 64)
            }
            if let bad = ConnectorRules.egressProblem(egress, privateHosts: egressPrivate) {
                throw Failure(bad.message, hint: bad.hint, code: 64)
            }
            for host in egressPrivate {
                Output.note("warning: \(host) may lead into private networks and to this host: whoever answers for that name decides where")
            }
        }

        /// A script that the command names is looked for before anything is built.
        private static func checkFiles(of command: [String], in folder: String) throws {
            for word in command where word.hasSuffix(".py") && !word.hasPrefix("/") && !word.hasPrefix("-") {
                guard access(folder + "/" + word, F_OK) != 0, errno == ENOENT, let names = directoryNames(folder) else { continue }
                throw Failure(
                    "the folder \(folder) has no \(word.prefix(64))",
                    hint: Suggestion.text(for: word, among: names) ?? "its command runs in a copy of it", code: 64)
            }
        }
    }

    /// What only an update has.
    struct Change: ParsableArguments {
        @Option(parsing: .singleValue, help: ArgumentHelp("A secret that is no longer needed (repeatable); the others stay.", valueName: "k"))
        var dropSecret: [String] = []
        @Option(
            parsing: .singleValue, help: ArgumentHelp("A variable of --env that is no longer needed (repeatable); the others stay.", valueName: "k"))
        var dropEnv: [String] = []
        @Flag(help: "Start the server without arguments.") var noArgs = false
        @Flag(help: "Resolve without constraints; builds.") var noConstraints = false
        @Flag(help: "The server speaks on standard input and output, and no longer HTTP.") var stdio = false
        @Flag(help: "Take the network away: no --egress, no --egress-private.") var noEgress = false
        @Flag(help: "Begin anew, with the source given again: what is not given is the default. Secrets stay.") var reset = false
    }
}
