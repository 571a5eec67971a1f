import ArgumentParser
import AuthorCommands
import JSONText
import Wire

/// `berth machines`
struct MachinesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "machines", abstract: "The machines that run the connectors.",
        discussion: """
            MACHINE is a machine's id, its first four digits or more, or the name of a connector that has one machine.
            """,
        subcommands: [List.self, Start.self, Stop.self, Suspend.self, Restart.self, Destroy.self, Exec.self, Usage.self, Events.self, LogsOfMachine.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All machines.")
        @Flag(help: "What each of them uses, and of how much; takes a quarter of a second.") var usage = false
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption
        func run() async throws {
            let machines = try await Machines.all(state.installation())
            if usage { return try await showUsage(of: machines) }
            if output.json { return Output.json(.record(("machines", .array(machines)))) }
            // A column more only where principals have machines of their own.
            let areOwned = machines.contains { Machines.principal(of: $0) != nil }
            Output.table(
                ["MACHINE", "CONNECTOR"] + (areOwned ? ["PRINCIPAL"] : []) + ["STATE", "TRANSPORT", "BOOT", "SINCE"],
                machines.map { row in
                    var cells = [row.cell("id"), Machines.connector(of: row) ?? "-"]
                    if areOwned { cells.append(Machines.principal(of: row).map { Printable.line($0) } ?? "-") }
                    cells.append(row.cell("state") + (row["cordoned"]?.boolValue == true ? ", cordoned" : ""))
                    cells.append(row["config"]?["berth"]?["http"]?["port"]?.intValue.map { "http:\($0)" } ?? "stdio")
                    cells.append(row["berth"]?["boot_id"]?.stringValue ?? "-")
                    cells.append(row["berth"]?["since"]?.stringValue ?? row.cell("updated_at"))
                    return cells
                })
        }

        private func showUsage(of machines: [JSONValue]) async throws {
            let answer = try await ControlClient.orchestrator(state.installation()).get("/v1/berth/usage")
            if output.json { return Output.json(answer) }
            var usages: [String: JSONValue] = [:]
            for usage in answer["machines"]?.arrayValue ?? [] { usages[usage.cell("machine")] = usage }
            // One that came or went meanwhile is in one of the two.
            Output.table(UsageText.columns, machines.compactMap { row in usages[row.cell("id")].map { UsageText($0).row(of: row) } })
        }
    }
}

/// What the orchestrator knows.
enum Machines {
    /// Every machine, each with the name of its app as `app`.
    static func all(_ installation: Installation, includesDestroyed: Bool = false) async throws -> [JSONValue] {
        let client = ControlClient.orchestrator(installation)
        var machines: [JSONValue] = []
        for app in try await client.get("/v1/apps?org_slug=all")["apps"]?.arrayValue ?? [] {
            guard let name = app["name"]?.stringValue else { continue }
            let path = "/v1/apps/\(URLPath.segment(name))/machines" + (includesDestroyed ? "?include_deleted=true" : "")
            for machine in try await client.get(path).arrayValue ?? [] { machines.append(Self.machine(machine, ofApp: name)) }
        }
        return machines
    }

    static func machine(_ machine: JSONValue, ofApp app: String) -> JSONValue {
        guard var members = machine.objectValue else { return machine }
        members["app"] = .string(app)
        return .object(members)
    }

    /// Whose alone the machine is.
    static func principal(of machine: JSONValue) -> String? { machine["config"]?["metadata"]?["berth_principal"]?.stringValue }

    /// Whose server the machine runs.
    static func connector(of machine: JSONValue) -> String? { machine["config"]?["metadata"]?["berth_connector"]?.stringValue }
}
