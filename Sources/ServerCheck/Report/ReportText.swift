import JSONText

/// A report for people.
public enum ReportText {
    /// - Parameter isStrict: warnings count as failures.
    /// - Returns: lines that a terminal can bear, none of them more than one: names and words in them are a server's. What it says over several
    ///   lines stands indented below the first.
    public static func lines(_ report: Report, isStrict: Bool = false) -> [String] {
        var lines = [title(report)]
        for (name, findings) in report.groups {
            lines += ["", name]
            for finding in findings where finding.severity != .skipped {
                for (index, line) in words(finding).enumerated() {
                    lines.append("  \(padded(index == 0 ? finding.severity.rawValue : ""))\(line)")
                }
                if let remedy = finding.remedy { lines.append("  \(padded(""))→ \(remedy)") }
            }
            lines += skipped(findings)
        }
        return (lines + ["", summary(report, isStrict: isStrict)]).map { Printable.line(Excerpt.of($0, longest)) }
    }

    /// Of what `Printable` lets pass.
    private static let longest = 1_000

    /// A finding's lines. Its tool and place are a line's part, whatever they hold.
    private static func words(_ finding: Finding) -> [String] {
        var finding = finding
        let more = finding.text.split(whereSeparator: \.isNewline).map(String.init)
        finding.text = more.first ?? ""
        return [finding.line] + more.dropFirst()
    }

    /// `name version: 2026-07-28 (modern), 2 tools, started in 2.8 s, 74 MB`
    static func title(_ report: Report) -> String {
        let name = [report.name, report.version].compactMap(\.self).joined(separator: " ")
        let facts = [
            report.protocolVersion.map { "\($0) (\(report.era ?? "unknown"))" }, report.tools.map { Count.text($0, "tool") },
            report.startMilliseconds.map { "started in \(seconds($0))" }, report.residentBytes.map { "\(megabytes($0))" },
        ].compactMap(\.self)
        return (name.isEmpty ? report.command.first ?? "the server" : name) + (facts.isEmpty ? "" : ": " + facts.joined(separator: ", "))
    }

    static func summary(_ report: Report, isStrict: Bool) -> String {
        let counts = [
            "\(report.count(.pass)) passed", Count.text(report.count(.note), "note"), Count.text(report.count(.warning), "warning"),
            Count.text(report.count(.failure), "failure"), "\(report.count(.skipped)) not checked",
        ]
        return (report.hasPassed(isStrict: isStrict) ? "passed: " : "failed: ") + counts.joined(separator: ", ")
    }

    /// With one digit after the point.
    static func seconds(_ milliseconds: Int) -> String {
        milliseconds < 1_000 ? "\(milliseconds) ms" : "\(milliseconds / 1_000).\(milliseconds % 1_000 / 100) s"
    }

    static func megabytes(_ bytes: Int) -> String { "\((bytes + (1 << 19)) >> 20) MB" }

    /// What was not checked for the same reason, in one line.
    private static func skipped(_ findings: [Finding]) -> [String] {
        var reasons: [(text: String, names: [String])] = []
        for finding in findings where finding.severity == .skipped {
            let name = String(finding.id.dropFirst(finding.group.count + 1))
            if let index = reasons.firstIndex(where: { $0.text == finding.text }) {
                reasons[index].names.append(name)
            } else {
                reasons.append((finding.text, [name]))
            }
        }
        return reasons.map { "  \(padded("not checked"))\($0.names.joined(separator: ", ")): \($0.text)" }
    }

    private static func padded(_ text: String) -> String { text + String(repeating: " ", count: max(1, 13 - text.count)) }
}
