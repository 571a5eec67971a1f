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
}
