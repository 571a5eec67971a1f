import AuthorCommands
import JSONText
import Wire

/// How the processes of a connector's server fare, in all of its machines, as their agents tell.
struct ProcessReport {
    /// `state`, `starts`.
    private(set) var processes: [JSONValue] = []
    /// Why the last one that ended by itself did.
    private(set) var lastFailure: String?

    init(of connector: String, _ installation: Installation) async throws {
        let client = ControlClient.orchestrator(installation)
        for machine in try await Machines.all(installation) where Machines.connector(of: machine) == connector {
            let answer = try await client.get("/v1/apps/\(URLPath.segment(machine.cell("app")))/machines/\(machine.cell("id"))/berth/processes")
            processes += answer["processes"]?.arrayValue ?? []
            lastFailure = answer["last_failure"]?.stringValue ?? lastFailure
        }
    }

    /// `1 crashed (the server exited with status 3), 2 ready, 1 spare`; nil where there is nothing to say.
    var line: String? {
        guard !processes.isEmpty else { return nil }
        let counts = Dictionary(grouping: processes) { $0.cell("state") }.map { (state: $0.key, count: $0.value.count) }
        return counts.sorted { $0.state < $1.state }.map { state, count in
            switch state {
            case "crashed": "\(count) crashed" + (lastFailure.map { " (\($0))" } ?? "")
            case "parked": "\(count) spare"
            default: "\(count) \(state)"
            }
        }.joined(separator: ", ")
    }

    var json: JSONValue { .record(("processes", .array(processes)), ("last_failure", lastFailure.map { .string($0) })) }
}
