import ArgumentParser
import AuthorCommands
import JSONText
import Wire

/// `berth machines`
struct MachinesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "machines", abstract: "The machines that run the connectors.", subcommands: [List.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All machines.")
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let machines = try await Machines.all(state.installation())
            if output.json { return Output.json(.record(("machines", .array(machines)))) }
            Output.table(
                ["MACHINE", "CONNECTOR", "STATE", "TRANSPORT", "BOOT", "SINCE"],
                machines.map { row in
                    [
                        row.cell("id"), row["config"]?["metadata"]?["berth_connector"]?.stringValue ?? "-", row.cell("state"),
                        row["config"]?["berth"]?["http"]?["port"]?.intValue.map { "http:\($0)" } ?? "stdio",
                        row["berth"]?["boot_id"]?.stringValue ?? "-", row.cell("updated_at"),
                    ]
                })
        }
    }
}

/// What the orchestrator knows.
enum Machines {
    static func all(_ installation: Installation) async throws -> [JSONValue] {
        let client = ControlClient.orchestrator(installation)
        var machines: [JSONValue] = []
        for app in try await client.get("/v1/apps?org_slug=all")["apps"]?.arrayValue ?? [] {
            guard let name = app["name"]?.stringValue else { continue }
            for machine in try await client.get("/v1/apps/\(URLPath.segment(name))/machines").arrayValue ?? [] {
                guard var members = machine.objectValue else { continue }
                members["app"] = .string(name)
                machines.append(.object(members))
            }
        }
        return machines
    }
}

/// `berth logs`
struct Logs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "What a connector's machine wrote: the agent's lines and the server's standard error.")
    @Argument(help: "Name of the connector.") var connector: String
    @Option(help: ArgumentHelp("How many lines.", valueName: "n")) var lines = 100
    @OptionGroup var state: StateOption
    @OptionGroup var output: JSONOption

    func run() async throws {
        guard (1...10_000).contains(lines) else { throw Failure("--lines \(lines) is out of range", hint: "1 to 10000", code: 64) }
        let installation = try state.installation()
        let machines = try await Machines.all(installation)
        let own = machines.filter { $0["config"]?["metadata"]?["berth_connector"]?.stringValue == connector }
        guard !own.isEmpty else {
            let names = machines.compactMap { $0["config"]?["metadata"]?["berth_connector"]?.stringValue }
            throw Failure(
                "no machine of a connector named \(connector)", hint: Suggestion.text(for: connector, among: names) ?? "berth connector list")
        }
        let client = ControlClient.orchestrator(installation)
        for machine in own {
            let app = URLPath.segment(machine.cell("app"))
            let text = try await client.text("/v1/apps/\(app)/machines/\(machine.cell("id"))/berth/logs?tail=\(lines)")
            if output.json {
                Output.json(.record(("machine", .string(machine.cell("id"))), ("log", .string(text))))
            } else {
                if own.count > 1 { Output.line("== \(machine.cell("id"))") }
                Output.line(text.hasSuffix("\n") ? String(text.dropLast()) : text)
            }
        }
    }
}
