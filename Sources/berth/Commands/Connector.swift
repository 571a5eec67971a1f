import ArgumentParser
import Gateway
import Glibc
import JSONText

/// `berth connector`
struct ConnectorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connector", abstract: "Hosted MCP servers: add, list, update, remove.", subcommands: [Add.self, List.self, Update.self, Remove.self])

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
        @Option(help: ArgumentHelp("Memory of the machine in MiB.", valueName: "mib")) var memory: Int?
        @Option(help: ArgumentHelp("Processes and threads of the machine at most.", valueName: "n")) var pids: Int?
        @Argument(parsing: .postTerminator, help: "The command of a server given with --dir.") var command: [String] = []

        /// The request's body; reads secrets and packs the folder, once everything else is known to be right.
        func body(_ installation: Installation) async throws -> JSONValue {
            try check()
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
            }
            return .record(
                ("name", .string(name)), ("source", .object(source)), ("args", arg.isEmpty ? nil : .strings(arg)),
                ("command", command.isEmpty ? nil : .strings(command)), ("env", environment.isEmpty ? nil : .strings(environment)),
                ("secrets", secrets.isEmpty ? nil : .strings(secrets)), ("memory_mb", memory.map { .int($0) }), ("pids", pids.map { .int($0) }))
        }

        private func check() throws {
            guard ConnectorRules.isName(name) else {
                throw Failure("'\(name.prefix(64))' is no connector name", hint: ConnectorRules.nameHint, code: 64)
            }
            if pypi != nil && dir != nil { throw Failure("--pypi and --dir exclude each other", hint: "give one of them", code: 64) }
            if pypi == nil && dir == nil { throw Failure("no source given", hint: "give --pypi SPEC or --dir DIR", code: 64) }
            if dir == nil && requirements != nil {
                throw Failure("--requirements belongs to --dir", hint: "a PyPI package brings its own; narrow them with --constraint", code: 64)
            }
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
            abstract: "Rebuild a connector from a new definition; the old one serves until the new one has answered.")
        @OptionGroup var definition: Definition
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let installation = try state.installation()
            let body = try await definition.body(installation)
            try await Provisioning.run("PATCH", "/api/v1/connectors/\(URLPath.segment(definition.name))", body, installation, json: output.json)
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
            case "step": if !json { Output.line("  " + event.cell("text")) }
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
