import ArgumentParser
import Gateway
import Glibc
import JSONText
import Wire

/// `berth audit`
struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "audit", abstract: "The log of every call.", subcommands: [Tail.self, Verify.self])

    struct Tail: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The last rows: who, when, tool, arguments, result, outcome, machine, latency.")
        @Option(name: [.customShort("n"), .customLong("lines")], help: ArgumentHelp("How many rows.", valueName: "n")) var lines = 20
        @Flag(name: [.short, .long], help: "Go on with new rows as they come.") var follow = false
        @Option(help: ArgumentHelp("Rows of this method alone, for example tools/call.", valueName: "method")) var method: String?
        @Option(name: .customLong("for"), help: ArgumentHelp("Rows of this principal alone.", valueName: "principal")) var principal: String?
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            guard (1...100_000).contains(lines) else { throw Failure("--lines \(lines) is out of range", hint: "1 to 100000", code: 64) }
            let path = AuditText.path(last: lines, method: method, principal: principal, follow: follow)
            try await ControlClient.gateway(state.installation()).lines("GET", path) { row in
                output.json ? Output.json(row) : AuditText.print(row)
                // What follows would never end by itself.
                guard Output.isRead else { throw ExitCode(0) }
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the hash chain of every row from the first one; exit 1 and the first broken row if one does not hold.")
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            try Rights.needRoot("the journal is readable by root and the gateway alone")
            let installation = try state.installation()
            guard access(installation.gatewayState + "/audit", F_OK) == 0 else {
                throw Failure("\(installation.state) holds no audit log", hint: "give the right --state")
            }
            let report = try AuditVerification.verify(directory: installation.gatewayState + "/audit")
            let rows = report.chains.reduce(0) { $0 + $1.rows }
            if output.json {
                Output.json(
                    .record(
                        ("intact", .bool(report.isIntact)), ("rows", .int(rows)), ("missing_payloads", .int(report.missingPayloads)),
                        (
                            "broken",
                            report.firstBroken.map {
                                .record(
                                    ("chain", .string($0.chain)), ("segment", .int($0.segment)), ("line", .int($0.line)),
                                    ("reason", .string($0.reason)))
                            }
                        )))
            } else if let broken = report.firstBroken {
                Output.line("chain \(broken.chain), segment \(broken.segment), line \(broken.line): \(broken.reason)")
            } else {
                Output.line("\(rows) rows in \(report.chains.count) chain\(report.chains.count == 1 ? "" : "s"): every hash holds")
            }
            if !report.isIntact { throw ExitCode(1) }
        }
    }
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
        let names = row["tool"] == nil ? [row.cell("method"), row["exposed_tool"]?.stringValue] : [row["connector"]?.stringValue, row["tool"]?.stringValue]
        let tool = names.compactMap { $0 }.joined(separator: row["tool"] == nil ? " " : "/")
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
