/// A report as JUnit XML, which continuous integration shows: a suite for each group, a case for each finding.
public enum ReportJUnit {
    /// The whole document.
    ///
    /// - Parameter isStrict: warnings count as failures.
    public static func text(_ report: Report, isStrict: Bool = false) -> String {
        let failures = report.findings.count { fails($0, isStrict) }
        let totals = #"tests="\#(report.findings.count)" failures="\#(failures)" skipped="\#(report.count(.skipped))""#
        var lines = [#"<?xml version="1.0" encoding="UTF-8"?>"#, #"<testsuites name="berth test" \#(totals)>"#]
        for (name, findings) in report.groups {
            let failures = findings.count { fails($0, isStrict) }
            let skipped = findings.count { $0.severity == .skipped }
            lines.append(#"  <testsuite name="\#(escaped(name))" tests="\#(findings.count)" failures="\#(failures)" skipped="\#(skipped)">"#)
            lines += findings.flatMap { testCase($0, isStrict) }
            lines.append("  </testsuite>")
        }
        return (lines + ["</testsuites>", ""]).joined(separator: "\n")
    }

    private static func fails(_ finding: Finding, _ isStrict: Bool) -> Bool {
        finding.severity == .failure || isStrict && finding.severity == .warning
    }

    private static func testCase(_ finding: Finding, _ isStrict: Bool) -> [String] {
        let name = ([finding.id] + [finding.tool, finding.pointer].compactMap(\.self)).joined(separator: " ")
        let start = #"    <testcase classname="\#(escaped("berth." + finding.group))" name="\#(escaped(name))""#
        let told = finding.line + (finding.remedy.map { "\n" + $0 } ?? "")
        if fails(finding, isStrict) {
            let failure = #"<failure type="\#(finding.severity.rawValue)" message="\#(escaped(finding.line))">\#(escaped(told))</failure>"#
            return [start + ">", "      " + failure, "    </testcase>"]
        }
        if finding.severity == .skipped {
            return [start + ">", #"      <skipped message="\#(escaped(finding.text))"/>"#, "    </testcase>"]
        }
        return [start + ">", "      <system-out>\(escaped("\(finding.severity.rawValue): \(told)"))</system-out>", "    </testcase>"]
    }

    /// Text in an element or between double quotes; what XML cannot hold at all becomes U+FFFD.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\n", "\t", "\r": result += "&#\(scalar.value);"
            default:
                let isLegal = scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value) && scalar.value & 0xFFFE != 0xFFFE
                result.unicodeScalars.append(isLegal ? scalar : "\u{FFFD}")
            }
        }
        return result
    }
}
