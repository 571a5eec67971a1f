import ArgumentParser
import AuthorCommands
import JSONText
import Wire

/// `berth token`
struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Bearer tokens: create, list, revoke.", subcommands: [Create.self, List.self, Revoke.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "A token for one person and one virtual MCP, shown once.")
        @Option(name: .customLong("for"), help: ArgumentHelp("Whose token it is.", valueName: "principal")) var principal: String?
        @Option(help: ArgumentHelp("The virtual MCP it opens.", valueName: "name")) var vmcp: String?
        @Option(help: ArgumentHelp("How long it is good: 30m, 12h, 90d (default: until revoked).", valueName: "duration")) var expires: String?
        @Flag(help: "A token for the gateway's API instead (control socket only).") var admin = false
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            if admin && vmcp != nil { throw Failure("--admin and --vmcp exclude each other", hint: "an admin token opens no virtual MCP", code: 64) }
            guard admin || vmcp != nil else { throw Failure("--vmcp is missing", hint: "berth token create --for alice --vmcp office", code: 64) }
            guard admin || principal != nil else { throw Failure("--for is missing", hint: "berth token create --for alice --vmcp office", code: 64) }
            let seconds = try expires.map { try DurationText.seconds($0) }
            let installation = try state.installation()
            let answer = try await ControlClient.gateway(installation).json(
                "POST", "/api/v1/tokens",
                .record(
                    ("principal", .string(principal ?? "admin")), ("vmcp", vmcp.map { .string($0) }), ("admin", admin ? .bool(true) : nil),
                    ("expires_in", seconds.map { .int($0) })))
            if output.json { return Output.json(answer) }
            let url = answer.cell("url")
            let token = answer.cell("token")
            let end = answer["expires_at"]?.intValue.map { "until \(Time.text(milliseconds: $0))" } ?? "until revoked"
            let id = answer.cell("id")
            Output.line("URL    \(url)\nToken  \(token)   (shown once)\nID     \(id)   (good \(end): berth token revoke \(id)\(installation.stateOption))")
            guard !admin, let vmcp else { return }
            Output.line(
                """

                Claude Code:
                  claude mcp add --transport http \(vmcp) \(url) --header "Authorization: Bearer \(token)"

                mcpServers JSON:
                  {"mcpServers": {"\(vmcp)": {"type": "http", "url": "\(url)", "headers": {"Authorization": "Bearer \(token)"}}}}
                """)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All tokens, without their values.")
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation()).get("/api/v1/tokens")
            if output.json { return Output.json(answer) }
            Output.table(
                ["ID", "FOR", "VMCP", "EXPIRES", "STATE"],
                (answer["tokens"]?.arrayValue ?? []).map { row in
                    [
                        row.cell("id"), row.cell("principal"), row["vmcp"]?.stringValue ?? "(admin)",
                        row["expires_at"]?.intValue.map { Time.text(milliseconds: $0) } ?? "never",
                        row.cell("state"),
                    ]
                })
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "End a token, and within 5 s every stream it had open.")
        @Argument(help: "ID of the token (berth token list).") var id: String
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation()).json("DELETE", "/api/v1/tokens/\(URLPath.segment(id))")
            output.json ? Output.json(answer) : Output.line("revoked \(id)")
        }
    }
}

/// Durations and times as people write them.
enum DurationText {
    static func seconds(_ text: String) throws -> Int {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
        guard let last = text.last, let unit = units[last], let number = Int(text.dropLast()), number > 0, number <= 1_000_000 else {
            throw Failure("'\(text.prefix(32))' is no duration", hint: "for example 30m, 12h or 90d", code: 64)
        }
        return number * unit
    }
}
