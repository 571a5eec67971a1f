import ArgumentParser
import AuthorCommands
import JSONText

extension ConnectorCommand {
    /// How many machines a connector has and for how long.
    struct LifeOptions: ParsableArguments {
        @Option(
            help: ArgumentHelp(
                "After how long without a call its machine is stopped: 90s, 15m, 12h, 7d, or off (default: off). The next call starts it.",
                valueName: "duration"))
        var idle: String?
        @Option(
            help: ArgumentHelp(
                "What becomes of it then: stop (gives its memory back; sessions begin anew) or suspend (keeps it, and the sessions).",
                valueName: "stop|suspend"))
        var idleAction: String?

        /// The request's member; nil where nothing is given.
        func json() throws -> JSONValue? {
            let seconds = try idle.map { $0 == "off" ? 0 : try DurationText.seconds($0) }
            let members = JSONValue.record(("idle_seconds", seconds.map { .int($0) }), ("idle_action", idleAction.map { .string($0) }))
            return members.objectValue?.isEmpty == true ? nil : members
        }
    }
}

/// The same for people, as `connector show` has it.
enum LifeText {
    static func idle(_ life: JSONValue?) -> String? {
        guard let seconds = life?["idle_seconds"]?.intValue else { return nil }
        return "\(life?["idle_action"]?.stringValue == "suspend" ? "suspended" : "stopped") after \(duration(seconds)) without a call"
    }

    /// In the largest unit that says it exactly.
    static func duration(_ seconds: Int) -> String {
        for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "m")] where seconds % unit == 0 && seconds > 0 { return "\(seconds / unit)\(name)" }
        return "\(seconds)s"
    }
}
