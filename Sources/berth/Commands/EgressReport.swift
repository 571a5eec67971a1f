import AuthorCommands
import JSONText
import Wire

/// What a connector's machines reached, and what they wanted to reach and may not, as the orchestrator counts it.
struct EgressReport {
    /// `host`, `port` (0: only the name was asked for), `reason`, `count`, `first`, `last`, `option`.
    let rows: [JSONValue]
    /// Refusals that have no row of their own any more.
    let others: Int
    /// `host`, `port`, `count`, `first`, `last`.
    let reached: [JSONValue]
    /// Connections to places that have no row of their own.
    let reachedOthers: Int

    /// - Parameter app: the connector's.
    init(ofApp app: String, _ installation: Installation) async throws {
        let answer = try await ControlClient.orchestrator(installation).get("/v1/apps/\(URLPath.segment(app))/berth/egress")
        rows = answer["refused"]?.arrayValue ?? []
        others = answer["others"]?.intValue ?? 0
        reached = answer["reached"]?.arrayValue ?? []
        reachedOthers = answer["reached_others"]?.intValue ?? 0
    }

    func show() {
        if !rows.isEmpty {
            Output.line("")
            Output.table(
                ["REFUSED", "WHY", "TIMES", "LAST", "ALLOWED BY"],
                rows.map { row in
                    [Self.place(row), row.cell("reason"), row.cell("count"), row.cell("last"), row["option"]?.stringValue ?? "-"]
                })
            if others > 0 { Output.line("and \(others) more, of hosts beyond the first 256") }
        }
        guard !reached.isEmpty else { return }
        Output.line("")
        Output.table(["REACHED", "TIMES", "LAST"], reached.map { row in [Self.place(row), row.cell("count"), row.cell("last")] })
        if reachedOthers > 0 { Output.line("and \(reachedOthers) more, of hosts beyond the first 256") }
    }

    private static func place(_ row: JSONValue) -> String {
        let port = row["port"]?.intValue ?? 0
        return String(Printable.line(row.cell("host") + (port == 0 ? "" : ":\(port)")))
    }
}
