import AuthorCommands
import ConfigImport
import JSONText

/// The plan of an import, for people and for programs: secrets by their names alone.
struct ImportReport {
    let decision: ImportDecision
    /// Of the file as a whole.
    let remarks: [String]
    let vmcp: String
    /// Those that are behind it already; nil where there is none of that name.
    let before: [String]?

    func show() {
        Output.table(
            ["SERVER", "CONNECTOR", "", "SOURCE", "SECRETS"],
            decision.items.map { item in
                switch item.outcome {
                case .take(let verb, let connector, _):
                    let secrets = connector.secrets.keys.sorted().joined(separator: ", ")
                    return [item.given, item.name, verb.rawValue, connector.source.text, secrets.isEmpty ? "-" : secrets]
                case .refused(let refusal): return [item.given, "-", "no", refusal.reason, "-"]
                case .disabled: return [item.given, "-", "no", "the file switches it off", "-"]
                }
            })
        for item in decision.items {
            switch item.outcome {
            case .take(_, let connector, _):
                if !connector.egress.isEmpty {
                    Output.line(
                        "  \(Printable.line(item.name)): may reach \(Printable.line(connector.egress.joined(separator: ", "))), which its settings name"
                    )
                }
                for remark in connector.remarks { Output.line("  \(Printable.line(item.name)): \(Printable.line(remark))") }
            case .refused(let refusal): Output.line("  \(Printable.line(item.given)): \(Printable.line(refusal.remedy))")
            case .disabled: break
            }
        }
        for remark in remarks { Output.line("  " + Printable.line(remark)) }
        let already = before.map { " (there already, with \(Count.text($0.count, "connector")))" } ?? ""
        Output.line("Virtual MCP: \(vmcp)\(already)")
    }

    var json: JSONValue {
        .record(
            ("event", "plan"), ("vmcp", .string(vmcp)),
            (
                "servers",
                .array(
                    decision.items.map { item in
                        switch item.outcome {
                        case .take(let verb, let connector, _):
                            return .record(
                                ("server", .string(item.given)), ("connector", .string(item.name)), ("action", .string(verb.rawValue)),
                                ("source", .string(connector.source.text)), ("args", .strings(connector.arguments)),
                                ("env", .strings(connector.environment)), ("secrets", .strings(connector.secrets.keys.sorted())),
                                ("egress", .strings(connector.egress)), ("remarks", .strings(connector.remarks)))
                        case .refused(let refusal):
                            return .record(
                                ("server", .string(item.given)), ("action", "none"), ("reason", .string(refusal.reason)),
                                ("hint", .string(refusal.remedy)))
                        case .disabled: return .record(("server", .string(item.given)), ("action", "none"), ("reason", "the file switches it off"))
                        }
                    })
            ),
            ("remarks", .strings(remarks)))
    }
}
