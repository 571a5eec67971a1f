import ArgumentParser
import AuthorCommands
import JSONText
import Wire

extension MachinesCommand {
    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start a machine that is stopped, or wake one that is suspended; returns when it is ready.")
        @OptionGroup var verb: MachineVerb
        func run() async throws { try await verb.run("start", until: "started") }
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "End a machine's processes and remove what it holds; returns when it is stopped.",
            discussion: "Its sessions lose their processes. A connector's machine starts again with the next call.")
        @OptionGroup var verb: MachineVerb
        @OptionGroup var limit: StopLimit
        func run() async throws { try await verb.run("stop", until: "stopped", body: limit.body) }
    }

    struct Suspend: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Freeze a machine: its processes stay and use no processor; the next call wakes it.",
            discussion: """
                A machine that is busy is frozen when its calls are over, for which they have ten seconds. Memory is given back only where the host \
                has swap; the answer says which.
                """)
        @OptionGroup var verb: MachineVerb
        func run() async throws { try await verb.run("suspend", until: "suspended") }
    }

    struct Restart: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stop a machine and start it anew, with another boot id; returns when it is ready.")
        @OptionGroup var verb: MachineVerb
        @OptionGroup var limit: StopLimit
        func run() async throws { try await verb.run("restart" + limit.query, until: "started", as: "restarted") }
    }

    struct Cordon: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Send no new sessions to a machine; those that it has stay, until uncordon.")
        @OptionGroup var verb: MachineVerb
        func run() async throws { try await verb.mark("cordon", "cordoned") }
    }

    struct Uncordon: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Send new sessions to a machine again.")
        @OptionGroup var verb: MachineVerb
        func run() async throws { try await verb.mark("uncordon", "uncordoned") }
    }

    struct Destroy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "End a machine for good; nothing of it stays but its history.",
            discussion: "Of a connector: its next call makes a new machine. berth connector remove is what ends a connector.")
        @OptionGroup var verb: MachineVerb
        @Flag(help: "Also a machine that runs: its sessions lose their processes.") var force = false

        func run() async throws {
            let installation = try verb.state.installation()
            let machine = try await MachineTarget.find(verb.machine, installation)
            guard force || ["stopped", "suspended", "failed", "created"].contains(machine.state) else {
                throw Failure(
                    "machine \(machine.title) is \(machine.state); its sessions would lose their processes",
                    hint: "--force, or berth machines stop \(machine.id)\(installation.stateOption) first")
            }
            _ = try await ControlClient.orchestrator(installation).json("DELETE", machine.path + (force ? "?force=true" : ""))
            let next = machine.connector.map { "the next call of \($0) makes a new machine; berth connector remove \($0) ends it for good" }
            if verb.output.json {
                return Output.json(
                    .record(
                        ("destroyed", .string(machine.id)), ("connector", machine.connector.map { .string($0) }), ("next", next.map { .string($0) })))
            }
            Output.line("destroyed \(machine.title)" + (next.map { ": \($0)" } ?? ""))
        }
    }
}

/// What every verb takes.
struct MachineVerb: ParsableArguments {
    @Argument(help: "Id of the machine, its first four digits or more, or the name of a connector that has one machine.") var machine: String
    @OptionGroup var state: StateOption
    @OptionGroup var output: JSONOption

    /// Asks for it, and waits until the machine has settled.
    func run(_ verb: String, until wanted: String, body: JSONValue? = nil, as done: String? = nil) async throws {
        let installation = try state.installation()
        let target = try await MachineTarget.find(machine, installation)
        let client = ControlClient.orchestrator(installation)
        _ = try await client.json("POST", "\(target.path)/\(verb)", body)
        let settled = try await Self.settled(target, client)
        let reason = settled["berth"]?["reason"]?.stringValue ?? Self.reason(settled, of: verb)
        guard settled["state"]?.stringValue == wanted else {
            throw Failure(
                "machine \(target.title) is \(settled.cell("state"))" + (reason.map { ": \($0)" } ?? ""),
                hint: "berth machines events \(target.id)\(installation.stateOption), and logs, tell more")
        }
        if output.json { return Output.json(Machines.machine(settled, ofApp: target.app)) }
        Output.line("\(done ?? wanted) \(target.title)" + (reason.map { ": \($0)" } ?? ""))
    }

    /// Asks for what takes effect at once, whatever the machine is at.
    func mark(_ verb: String, _ done: String) async throws {
        let installation = try state.installation()
        let target = try await MachineTarget.find(machine, installation)
        let client = ControlClient.orchestrator(installation)
        _ = try await client.json("POST", "\(target.path)/\(verb)")
        if output.json { return Output.json(Machines.machine(try await client.get(target.path), ofApp: target.app)) }
        Output.line("\(done) \(target.title)")
    }

    /// What its newest event says of what was asked: a machine that serves on has no reason of its own.
    private static func reason(_ machine: JSONValue, of verb: String) -> String? {
        guard let event = machine["events"]?.arrayValue?.first, event["type"]?.stringValue == verb else { return nil }
        return event["reason"]?.stringValue
    }

    /// The machine, when it is on its way nowhere; as it is after two minutes.
    private static func settled(_ target: MachineTarget, _ client: ControlClient) async throws -> JSONValue {
        let clock = ContinuousClock()
        let end = clock.now + .seconds(120)
        while true {
            // What keeps it is told by its state.
            _ = try? await client.get("\(target.path)/wait?state=settled&timeout=30")
            let machine = try await client.get(target.path)
            let isSettled = ["created", "started", "stopped", "suspended", "failed", "destroyed"].contains(machine.cell("state"))
            if isSettled || clock.now >= end { return machine }
        }
    }
}

/// How long a machine may take to end.
struct StopLimit: ParsableArguments {
    @Option(help: ArgumentHelp("How long it may take to end before it is killed (default 5, at most 300).", valueName: "seconds")) var timeout: Int?

    func validate() throws {
        guard timeout.map((1...300).contains) ?? true else { throw ValidationError("--timeout is 1 to 300 seconds") }
    }

    var body: JSONValue? { timeout.map { .record(("timeout", .string("\($0)s"))) } }
    var query: String { timeout.map { "?timeout=\($0)s" } ?? "" }
}
