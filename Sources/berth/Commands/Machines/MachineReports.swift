import ArgumentParser
import AuthorCommands
import JSONText
import Wire

extension MachinesCommand {
    struct Events: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What happened to a machine, newest first; also to one destroyed within a week, by its id.")
        @Option(name: [.customShort("n"), .customLong("lines")], help: ArgumentHelp("How many.", valueName: "n")) var lines = 50
        @OptionGroup var verb: MachineVerb

        func run() async throws {
            guard (1...200).contains(lines) else { throw Failure("--lines \(lines) is out of range", hint: "1 to 200", code: 64) }
            let installation = try verb.state.installation()
            let machine = try await MachineTarget.find(verb.machine, installation, includesDestroyed: true)
            let events = try await ControlClient.orchestrator(installation).get("\(machine.path)/events?limit=\(lines)")
            if verb.output.json { return Output.json(.record(("machine", .string(machine.id)), ("events", events))) }
            Output.table(
                ["TIME", "EVENT", "STATE", "BY", "REASON"],
                (events.arrayValue ?? []).map { row in
                    [
                        row["timestamp"]?.intValue.map { Time.text(milliseconds: $0) } ?? "-", row.cell("type"), row.cell("status"),
                        row.cell("source"), row.cell("reason"),
                    ]
                })
        }
    }

    struct LogsOfMachine: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "logs", abstract: "What a machine wrote, through all its boots: the agent's lines and the server's standard error.")
        @Option(name: [.customShort("n"), .customLong("lines")], help: ArgumentHelp("How many lines.", valueName: "n")) var lines = 100
        @OptionGroup var verb: MachineVerb

        func run() async throws {
            try MachineLog.check(lines)
            let installation = try verb.state.installation()
            let machine = try await MachineTarget.find(verb.machine, installation)
            let text = try await MachineLog.read(machine.path, lines: lines, installation)
            if verb.output.json { return Output.json(.record(("machine", .string(machine.id)), ("log", .string(text)))) }
            MachineLog.print(text)
        }
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
        try MachineLog.check(lines)
        let installation = try state.installation()
        let machines = try await Machines.all(installation)
        let own = machines.filter { Machines.connector(of: $0) == connector }
        guard !own.isEmpty else {
            let names = machines.compactMap(Machines.connector)
            throw Failure(
                "no machine of a connector named \(connector)", hint: Suggestion.text(for: connector, among: names) ?? "berth connector list")
        }
        for machine in own {
            let path = "/v1/apps/\(URLPath.segment(machine.cell("app")))/machines/\(machine.cell("id"))"
            let text = try await MachineLog.read(path, lines: lines, installation)
            if output.json {
                Output.json(.record(("machine", .string(machine.cell("id"))), ("log", .string(text))))
            } else {
                if own.count > 1 { Output.line("== \(machine.cell("id"))") }
                MachineLog.print(text)
            }
        }
    }
}

/// The end of what a machine wrote.
private enum MachineLog {
    static func check(_ lines: Int) throws {
        guard (1...10_000).contains(lines) else { throw Failure("--lines \(lines) is out of range", hint: "1 to 10000", code: 64) }
    }

    static func read(_ path: String, lines: Int, _ installation: Installation) async throws -> String {
        try await ControlClient.orchestrator(installation).text("\(path)/berth/logs?tail=\(lines)")
    }

    static func print(_ text: String) { Output.line(text.hasSuffix("\n") ? String(text.dropLast()) : text) }
}
