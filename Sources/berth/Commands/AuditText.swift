import AuthorCommands
import JSONText
import Wire

/// What a row's method can be: a request of MCP (a row may have another that a client made up), an admin's action, an event of Berth's own.
enum AuditMethods {
    static let known =
        [
            "initialize", "ping", "server/discover", "tools/list", "tools/call", "resources/list", "resources/templates/list", "resources/read",
            "resources/subscribe", "resources/unsubscribe", "prompts/list", "prompts/get", "completion/complete", "logging/setLevel",
            "subscriptions/listen", "exec",
        ]
        + [
            "connector.add", "connector.update", "connector.remove", "vmcp.create", "vmcp.update", "vmcp.remove", "token.create", "token.revoke",
            "refused",
        ].map { "admin/" + $0 } + ["authenticate", "access", "connected", "audit/repair"]
}

/// An audit row for people: one line, and the payloads under it.
enum AuditText {
    /// The rows that a reader wants, as the API is asked for them.
    static func path(last lines: Int, method: String? = nil, principal: String? = nil, follow: Bool = false) -> String {
        let filters = [("method", method), ("principal", principal)].compactMap { name, value in value.map { "&\(name)=\(URLPath.segment($0))" } }
        return "/api/v1/audit?limit=\(lines)" + filters.joined() + (follow ? "&follow=1" : "")
    }

    static func print(_ row: JSONValue) {
        let time = row["time"]?.intValue.map { Time.text(milliseconds: $0) } ?? row.cell("time")
        // An admin's action has its object where a call has its tool.
        let object = [row.cell("method"), row["exposed_tool"]?.stringValue]
        let names = row["tool"] == nil ? object : [row["connector"]?.stringValue, row["tool"]?.stringValue]
        // What ran in a machine is no tool of the connector's.
        let kind = row["method"]?.stringValue == "exec" ? "exec " : ""
        let tool = kind + names.compactMap { $0 }.joined(separator: row["tool"] == nil ? " " : "/")
        let latency = row["latency_us"]?.intValue.map { "\($0 / 1_000).\(($0 % 1_000) / 100) ms" } ?? "-"
        let what = tool.isEmpty ? row.cell("method") : tool
        let place = row["machine"].map { _ in "machine \(row.cell("machine")) boot \(row.cell("boot"))" }
        let parts = [time, row.cell("principal"), row.cell("vmcp"), what, row.cell("outcome"), latency, place]
        Output.line(Printable.line(parts.compactMap { $0 }.joined(separator: "  ")))
        for name in ["arguments", "result", "reason"] {
            guard let value = row[name], !value.isNull else { continue }
            let text = Printable.line(value.stringValue ?? value.text)
            let cut = row["\(name)_truncated"]?.boolValue == true ? " (truncated)" : ""
            Output.line("    \(name): \(text.count > 300 ? String(text.prefix(300)) + "…" : text)\(cut)")
        }
    }
}
