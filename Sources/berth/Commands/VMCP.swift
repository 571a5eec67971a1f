import ArgumentParser
import AuthorCommands
import JSONText
import Wire

/// `berth vmcp`
struct VMCPCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vmcp", abstract: "Virtual MCPs: connectors curated behind one URL.",
        subcommands: [Create.self, List.self, Update.self, Remove.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Put connectors behind one URL.")
        @Argument(help: "Name; the URL's last part.") var name: String
        @Argument(help: "Connectors, in order.") var connectors: [String]
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation())
                .json("POST", "/api/v1/vmcps", .record(("name", .string(name)), ("connectors", .strings(connectors))))
            output.json ? Output.json(answer) : Output.line("created \(name): \(answer.cell("url"))")
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Replace the connectors of a virtual MCP.")
        @Argument(help: "Name of the virtual MCP.") var name: String
        @Argument(help: "Connectors, in order.") var connectors: [String]
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation())
                .json("PATCH", "/api/v1/vmcps/\(URLPath.segment(name))", .record(("connectors", .strings(connectors))))
            output.json ? Output.json(answer) : Output.line("updated \(name)")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All virtual MCPs.")
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation()).get("/api/v1/vmcps")
            if output.json { return Output.json(answer) }
            Output.table(
                ["NAME", "CONNECTORS", "URL"],
                (answer["vmcps"]?.arrayValue ?? []).map { row in
                    [row.cell("name"), (row["connectors"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: ", "), row.cell("url")]
                })
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove a virtual MCP; its tokens end.")
        @Argument(help: "Name of the virtual MCP.") var name: String
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let answer = try await ControlClient.gateway(state.installation()).json("DELETE", "/api/v1/vmcps/\(URLPath.segment(name))")
            output.json ? Output.json(answer) : Output.line("removed \(name)")
        }
    }
}
