import ArgumentParser
import Gateway
import Glibc
import JSONText
import Wire

/// `berth connector`
struct ConnectorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connector", abstract: "Hosted MCP servers: add, list, show, update, remove.", subcommands: [Add.self, List.self, Show.self, Update.self, Remove.self])

    /// What `add` and `update` have in common.
    struct Definition: ParsableArguments {
        @Argument(help: "Name of the connector (a-z, 0-9, -).") var name: String
        @Option(help: ArgumentHelp("A PyPI package, for example mcp-server-time or name==1.2.", valueName: "spec")) var pypi: String?
        @Option(help: ArgumentHelp("A folder with the server; put its command after --.", valueName: "dir")) var dir: String?
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
            help: ArgumentHelp("A secret variable: K asks for it (or reads standard input), K=@FILE reads a file (repeatable).", valueName: "k[=@file]"))
        var secret: [String] = []
        @Option(help: ArgumentHelp("Memory of the machine in MiB: 64 to 16384 (default: 256).", valueName: "mib")) var memory: Int?
        @Option(help: ArgumentHelp("Processes and threads of the machine at most: 16 to 1024 (default: 64).", valueName: "n")) var pids: Int?
        @Argument(parsing: .postTerminator, help: "After --, the server's command (--dir), or one in place of the package's own (--pypi).")
        var command: [String] = []

        /// What only an update has.
        struct Change {
            var dropSecret: [String]
            var reset: Bool
        }

        /// The request's body; reads secrets and packs the folder, once everything else is known to be right.
        ///
        /// - Parameter change: For an update, which needs nothing but a name.
        func body(_ installation: Installation, change: Change? = nil) async throws -> JSONValue {
            try check(isUpdate: change != nil)
            let environment = try Variables.plain(env)
            let folder = try dir.map { try FolderArchive(folder: $0, requirements: requirements) }
            let secrets = try Variables.secrets(secret)
            for name in secrets.keys.sorted() where environment[name] != nil {
                throw Failure("\(name) is given as --env too", hint: "give it once, with --secret", code: 64)
            }
            var source = JSONObject()
            if let pypi { source["pypi"] = .string(pypi) }
            if !constraint.isEmpty { source["constraints"] = .strings(constraint) }
            if let folder {
                for left in folder.leftOut { Output.error("left out: \(Printable.line(left))") }
                let answer = try await ControlClient.orchestrator(installation).upload("/v1/berth/uploads", folder.tar)
                source["upload"] = answer["digest"] ?? .null
                source["requirements"] = .bool(requirements != nil)
                source["folder"] = .string(folder.name)
            }
            let dropped = change?.dropSecret ?? []
            return .record(
                ("name", .string(name)), ("source", source.isEmpty ? nil : .object(source)), ("args", arg.isEmpty ? nil : .strings(arg)),
                ("command", command.isEmpty ? nil : .strings(command)), ("env", environment.isEmpty ? nil : .strings(environment)),
                ("secrets", secrets.isEmpty ? nil : .strings(secrets)), ("drop_secrets", dropped.isEmpty ? nil : .strings(dropped)),
                ("reset", change?.reset == true ? .bool(true) : nil), ("memory_mb", memory.map { .int($0) }), ("pids", pids.map { .int($0) }))
        }

        private func check(isUpdate: Bool) throws {
            guard ConnectorRules.isName(name) else {
                throw Failure("'\(name.prefix(64))' is no connector name", hint: ConnectorRules.nameHint, code: 64)
            }
            if pypi != nil && dir != nil { throw Failure("--pypi and --dir exclude each other", hint: "give one of them", code: 64) }
            if dir == nil && requirements != nil {
                throw Failure("--requirements belongs to --dir", hint: "a PyPI package brings its own; narrow them with --constraint", code: 64)
            }
            if dir != nil && requirements == nil && !constraint.isEmpty {
                throw Failure("--constraint narrows requirements, and none are given", hint: "add --requirements FILE", code: 64)
            }
            guard !isUpdate else { return }
            if pypi == nil && dir == nil { throw Failure("no source given", hint: "give --pypi SPEC or --dir DIR", code: 64) }
            if dir != nil && command.isEmpty {
                throw Failure("--dir needs the command of its server", hint: "put it after --, for example -- python3 server.py", code: 64)
            }
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Build, start and probe a server; ready when it has listed its tools.")
        @OptionGroup var definition: Definition
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let installation = try state.installation()
            try await Provisioning.run("POST", "/api/v1/connectors", try await definition.body(installation), installation, json: output.json)
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change what is given and keep the rest; the old machine serves until the new one has answered.",
            discussion: """
                Lists (--arg, --env, --constraint) are replaced as a whole where given. The image stays, without a build or an upload, unless \
                --pypi, --dir, --constraint or --reset is given (--pypi again looks for a newer version), or after -- another program of the \
                image by its bare name.
                """)
        @OptionGroup var definition: Definition
        @Option(parsing: .singleValue, help: ArgumentHelp("A secret that is no longer needed (repeatable); the others stay.", valueName: "k"))
        var dropSecret: [String] = []
        @Flag(help: "Begin anew: what is not given is the default again. Secrets stay.") var reset = false
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let installation = try state.installation()
            let body = try await definition.body(installation, change: .init(dropSecret: dropSecret, reset: reset))
            try await Provisioning.run("PATCH", "/api/v1/connectors/\(URLPath.segment(definition.name))", body, installation, json: output.json)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One connector: its tools and what it is started with.")
        @Argument(help: "Name of the connector.") var name: String
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation()).get("/api/v1/connectors/\(URLPath.segment(name))")
            if output.json { return Output.json(answer) }
            func list(_ key: String) -> String? {
                guard let items = answer[key]?.arrayValue, !items.isEmpty else { return nil }
                return items.map { $0.stringValue ?? $0.text }.joined(separator: " ")
            }
            let environment = answer["env"]?.objectValue?.members.map { "\($0.key)=\($0.value.stringValue ?? "")" }.sorted().joined(separator: " ")
            let rows: [(String, String?)] = [
                ("Name", answer.cell("name")), ("State", answer.cell("state")), ("Source", answer.cell("source")), ("Constraints", list("constraints")),
                ("Command", list("command")), ("Arguments", list("args")), ("Environment", environment), ("Secrets", list("secrets")),
                ("Limits", "\(answer.cell("memory_mb")) MiB, \(answer.cell("pids")) processes and threads"), ("Image", answer.cell("image")),
                ("Packages", list("packages")),
            ]
            for (title, text) in rows {
                if let text, !text.isEmpty { Output.line(title.padded(to: 12) + Printable.line(text)) }
            }
            Output.line("")
            Output.table(
                ["TOOL", "DESCRIPTION"],
                (answer["tools"]?.arrayValue ?? []).map { tool in
                    [tool.cell("name"), String(Printable.line(tool["description"]?.stringValue ?? "").prefix(100))]
                })
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All connectors.")
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation()).get("/api/v1/connectors")
            if output.json { return Output.json(answer) }
            Output.table(
                ["NAME", "STATE", "TOOLS", "SOURCE", "IMAGE"],
                (answer["connectors"]?.arrayValue ?? []).map { row in
                    [row.cell("name"), row.cell("state"), row.cell("tools"), row.cell("source"), String(row.cell("image").prefix(19))]
                })
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Destroy a connector's machines and forget it, its secrets too.")
        @Argument(help: "Name of the connector.") var name: String
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation()).json("DELETE", "/api/v1/connectors/\(URLPath.segment(name))")
            output.json ? Output.json(answer) : Output.line("removed \(name)")
        }
    }
}

/// Follows an `add` or `update` to its end.
enum Provisioning {
    static func run(_ method: String, _ path: String, _ body: JSONValue, _ installation: Installation, json: Bool) async throws {
        var failure: JSONValue?
        var ended = false
        try await ControlClient.gateway(installation).lines(method, path, body) { event in
            switch event["event"]?.stringValue {
            case "step": json ? Output.json(event) : Output.line("  " + event.cell("text"))
            case "ready":
                ended = true
                if json { return Output.json(event) }
                Output.line("\(event.cell("name")) ready: \(event.cell("tools")) tools in \(event.cell("seconds")) s")
            case "failed":
                ended = true
                failure = event
                if json { Output.json(event) }
            default: break
            }
        }
        if let failure {
            if !json, let stderr = failure["stderr"]?.stringValue, !stderr.isEmpty {
                Output.error(stderr.split(separator: "\n").suffix(20).map { "  | " + Printable.line(String($0)) }.joined(separator: "\n"))
            }
            throw Failure("failed: " + Sentence.asClause(failure.cell("message")), hint: failure["hint"]?.stringValue)
        }
        guard ended else { throw Failure("the gateway ended before the work did", hint: "berth status, then run the command again") }
    }
}
