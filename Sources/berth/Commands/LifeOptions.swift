import ArgumentParser
import AuthorCommands
import JSONText

extension ConnectorCommand {
    /// How many machines a connector has and for how long.
    struct LifeOptions: ParsableArguments {
        @Option(
            help: ArgumentHelp(
                "Who shares a machine: app (everybody; sessions are kept apart inside) or principal (each has its own; default: app).",
                valueName: "app|principal"))
        var isolation: String?
        @Option(
            help: ArgumentHelp(
                "Machines that are kept started, whether anybody calls or not (default: 0; not with --isolation principal).", valueName: "n"))
        var min: Int?
        @Option(
            help: ArgumentHelp(
                "Machines at most (default: 16 with --isolation principal, else 1, or --min). More are made when those that run are full.",
                valueName: "n"))
        var max: Int?
        @Option(
            help: ArgumentHelp(
                "After how long without a call a machine is stopped: 90s, 15m, 12h, 7d, or off (default: 15m with --isolation principal, else off).",
                valueName: "duration"))
        var idle: String?
        @Option(
            help: ArgumentHelp(
                "What becomes of it then: stop (gives its memory back; sessions begin anew) or suspend (keeps it, and the sessions).",
                valueName: "stop|suspend"))
        var idleAction: String?
        @Option(
            help: ArgumentHelp(
                "How long open sessions may stay on the version before an update: 90s, 15m, 12h, 1d, or off (default: off, they move at once).",
                valueName: "duration"))
        var drain: String?

        /// The request's member; nil where nothing is given.
        func json() throws -> JSONValue? {
            func seconds(_ text: String?) throws -> Int? { try text.map { $0 == "off" ? 0 : try DurationText.seconds($0) } }
            let members = JSONValue.record(
                ("isolation", isolation.map { .string($0) }), ("min", min.map { .int($0) }), ("max", max.map { .int($0) }),
                ("idle_seconds", try seconds(idle).map { .int($0) }), ("idle_action", idleAction.map { .string($0) }),
                ("drain_seconds", try seconds(drain).map { .int($0) }))
            // A bare nil would be JSON's null here.
            return members.objectValue?.isEmpty == true ? Optional<JSONValue>.none : members
        }
    }
}

/// The same for people, as `connector show` has it.
enum LifeText {
    static func isolation(_ life: JSONValue?) -> String? {
        let (min, max) = (life?["min"]?.intValue ?? 0, life?["max"]?.intValue ?? 1)
        guard life?["isolation"]?.stringValue == "principal" else {
            return min > 0 || max > 1 ? "shared by everybody; \(min) kept started, \(max) at most" : nil
        }
        return "a machine for each principal, \(life?["max"]?.intValue ?? 0) at most"
    }

    static func idle(_ life: JSONValue?) -> String? {
        guard let seconds = life?["idle_seconds"]?.intValue else { return nil }
        return "\(life?["idle_action"]?.stringValue == "suspend" ? "suspended" : "stopped") after \(duration(seconds)) without a call"
    }

    static func updates(_ life: JSONValue?) -> String? {
        (life?["drain_seconds"]?.intValue).map { "open sessions stay on the version before for up to \(duration($0))" }
    }

    /// In the largest unit that says it exactly.
    static func duration(_ seconds: Int) -> String {
        for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "m")] where seconds % unit == 0 && seconds > 0 { return "\(seconds / unit)\(name)" }
        return "\(seconds)s"
    }
}
