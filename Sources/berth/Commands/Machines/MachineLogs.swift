import ArgumentParser
import AuthorCommands
import JSONText
import NIOCore
import Wire

extension MachinesCommand {
    struct LogsOfMachine: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "logs", abstract: "What a machine wrote, through all its boots: the agent's lines and the server's standard error.",
            discussion: MachineLog.discussion)
        @OptionGroup var reading: LogReading
        @OptionGroup var verb: MachineVerb

        func run() async throws {
            try reading.check()
            let installation = try verb.state.installation()
            let machine = try await MachineTarget.find(verb.machine, installation)
            try await MachineLog(machine: machine.id, path: machine.path, installation: installation, json: verb.output.json).show(reading)
        }
    }
}

/// `berth logs`
struct Logs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What a connector's machines wrote: the agent's lines and the server's standard error.", discussion: MachineLog.discussion)
    @Argument(help: "Name of the connector.") var connector: String
    @OptionGroup var reading: LogReading
    @OptionGroup var state: StateOption
    @OptionGroup var output: JSONOption

    func run() async throws {
        try reading.check()
        let installation = try state.installation()
        let machines = try await Machines.all(installation)
        let own = machines.filter { Machines.connector(of: $0) == connector }
        guard !own.isEmpty else {
            let names = machines.compactMap(Machines.connector)
            throw Failure(
                "no machine of a connector named \(connector)", hint: Suggestion.text(for: connector, among: names) ?? "berth connector list")
        }
        let logs = own.map { machine in
            MachineLog(
                machine: machine.cell("id"), path: "/v1/apps/\(URLPath.segment(machine.cell("app")))/machines/\(machine.cell("id"))",
                installation: installation, json: output.json, isOneOfSeveral: own.count > 1)
        }
        guard reading.follow else {
            for log in logs { try await log.show(reading) }
            return
        }
        try await withThrowingDiscardingTaskGroup { group in
            for log in logs { group.addTask { try await log.show(reading) } }
        }
    }
}

/// How much of a log, and whether to go on.
struct LogReading: ParsableArguments {
    @Option(name: [.customShort("n"), .customLong("lines")], help: ArgumentHelp("How many lines.", valueName: "n")) var lines = 100
    @Flag(name: [.customShort("f"), .long], help: "Go on with new lines as they come.") var follow = false

    func check() throws {
        guard ((follow ? 0 : 1)...10_000).contains(lines) else { throw Failure("--lines \(lines) is out of range", hint: "1 to 10000", code: 64) }
    }
}

/// What one machine wrote, on its way to the terminal.
struct MachineLog: Sendable {
    static let discussion = """
        The last 1 to 2 MiB are kept, also while the machine is stopped, until it is destroyed. --follow goes on through restarts of the machine, \
        and ends when it is destroyed, or by Ctrl-C.
        """

    let machine: String
    let path: String
    let installation: Installation
    let json: Bool
    /// Whose line it is has to be said.
    var isOneOfSeveral = false

    func show(_ reading: LogReading) async throws {
        let client = ControlClient.orchestrator(installation)
        guard reading.follow else { return show(try await client.text("\(path)/berth/logs?tail=\(reading.lines)")) }
        try await client.text(following: "\(path)/berth/logs?tail=\(reading.lines)&follow=true") { line in
            if json { return Output.json(.record(("machine", .string(machine)), ("line", .string(line)))) }
            Output.line(isOneOfSeveral ? "\(machine)  \(line)" : line)
        }
    }

    private func show(_ text: String) {
        if json { return Output.json(.record(("machine", .string(machine)), ("log", .string(text)))) }
        if isOneOfSeveral { Output.line("== \(machine)") }
        Output.line(text.hasSuffix("\n") ? String(text.dropLast()) : text)
    }
}
