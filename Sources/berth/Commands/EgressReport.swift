import AuthorCommands
import JSONText
import Wire

/// What a connector's machines wanted to reach and may not, as the orchestrator counts it.
struct EgressReport {
    /// `host`, `port` (0: only the name was asked for), `reason`, `count`, `last`, `option`.
    let rows: [JSONValue]
    /// Refusals that have no row of their own any more.
    let others: Int

    init(of connector: String, _ installation: Installation) async throws {
        let client = ControlClient.orchestrator(installation)
        var rows: [JSONValue] = []
        var others = 0
        for machine in try await Machines.all(installation) {
            guard machine["config"]?["metadata"]?["berth_connector"]?.stringValue == connector else { continue }
            let answer = try await client.get("/v1/apps/\(URLPath.segment(machine.cell("app")))/machines/\(machine.cell("id"))/berth/egress")
            for row in answer["refused"]?.arrayValue ?? [] { Self.add(row, to: &rows) }
            others += answer["others"]?.intValue ?? 0
        }
        self.rows = rows
        self.others = others
    }

    /// Several machines may have been refused the same.
    private static func add(_ row: JSONValue, to rows: inout [JSONValue]) {
        let same = rows.firstIndex { old in ["host", "port", "reason"].allSatisfy { old[$0]?.text == row[$0]?.text } }
        guard let same, var members = rows[same].objectValue else { return rows.append(row) }
        members["count"] = .int((members["count"]?.intValue ?? 0) + (row["count"]?.intValue ?? 0))
        if row.cell("last") > rows[same].cell("last") { members["last"] = row["last"] }
        rows[same] = .object(members)
    }

    func show() {
        guard !rows.isEmpty else { return }
        Output.line("")
        Output.table(
            ["REFUSED", "WHY", "TIMES", "LAST", "ALLOWED BY"],
            rows.map { row in
                let port = row["port"]?.intValue ?? 0
                let place = row.cell("host") + (port == 0 ? "" : ":\(port)")
                return [
                    String(Printable.line(place)), row.cell("reason"), row.cell("count"), row.cell("last"), row["option"]?.stringValue ?? "-",
                ]
            })
        if others > 0 { Output.line("and \(others) more, of hosts beyond the first 256") }
    }
}
