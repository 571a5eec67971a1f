import ArgumentParser
import Gateway
import JSONText

/// `berth audit`
struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "audit", abstract: "The log of every call.", subcommands: [Tail.self, Verify.self])

    struct Tail: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The last rows: who, when, tool, arguments, result, outcome, machine, latency.")
        @Option(name: [.customShort("n"), .customLong("lines")], help: ArgumentHelp("How many rows.", valueName: "n")) var lines = 20
        @Flag(name: [.short, .long], help: "Go on with new rows as they come.") var follow = false
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            guard (1...100_000).contains(lines) else { throw Failure("--lines \(lines) is out of range", hint: "1 to 100000", code: 64) }
            try await ControlClient.gateway(state.installation()).lines("GET", "/api/v1/audit?limit=\(lines)\(follow ? "&follow=1" : "")") { row in
                output.json ? Output.json(row) : AuditText.print(row)
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the hash chain of every row from the first one; exit 1 and the first broken row if one does not hold.")
        @OptionGroup var state: StateOption
        @OptionGroup var output: JSONOption

        func run() async throws {
            let installation = try state.installation()
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
                                    ("chain", .string($0.chain)), ("segment", .int($0.segment)), ("line", .int($0.line)), ("reason", .string($0.reason)))
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
    static func print(_ row: JSONValue) {
        let time = row["time"]?.intValue.map { Time.text(milliseconds: $0) } ?? row.cell("time")
        let tool = [row["connector"]?.stringValue, row["tool"]?.stringValue].compactMap { $0 }.joined(separator: "/")
        let latency = row["latency_us"]?.intValue.map { "\($0 / 1_000).\(($0 % 1_000) / 100) ms" } ?? "-"
        Output.line(Printable.line(
            "\(time)  \(row.cell("principal"))  \(row.cell("vmcp"))  \(tool.isEmpty ? row.cell("method") : tool)  \(row.cell("outcome"))  \(latency)  machine \(row.cell("machine")) boot \(row.cell("boot"))"
        ))
        for name in ["arguments", "result", "reason"] {
            guard let value = row[name], !value.isNull else { continue }
            let text = Printable.line(value.stringValue ?? value.text)
            let cut = row["\(name)_truncated"]?.boolValue == true ? " (truncated)" : ""
            Output.line("    \(name): \(text.count > 300 ? String(text.prefix(300)) + "…" : text)\(cut)")
        }
    }
}
