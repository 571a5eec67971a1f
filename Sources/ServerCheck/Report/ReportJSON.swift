public import JSONText

/// A report for programs.
public enum ReportJSON {
    /// - Parameter isStrict: warnings count as failures.
    public static func value(_ report: Report, isStrict: Bool = false) -> JSONValue {
        .record(
            ("passed", .bool(report.hasPassed(isStrict: isStrict))),
            ("command", .array(report.command.map { .string($0) })),
            (
                "server",
                .record(
                    ("name", report.name.map { .string($0) }), ("version", report.version.map { .string($0) }),
                    ("era", report.era.map { .string($0) }), ("protocolVersion", report.protocolVersion.map { .string($0) }),
                    ("tools", report.tools.map { .int($0) }), ("startMilliseconds", report.startMilliseconds.map { .int($0) }),
                    ("residentBytes", report.residentBytes.map { .int($0) }))
            ),
            ("counts", .object(JSONObject(Finding.Severity.allCases.map { ($0.rawValue, .int(report.count($0))) }))),
            ("findings", .array(report.findings.map(value))))
    }

    private static func value(_ finding: Finding) -> JSONValue {
        .record(
            ("id", .string(finding.id)), ("severity", .string(finding.severity.rawValue)), ("text", .string(finding.text)),
            ("tool", finding.tool.map { .string($0) }), ("pointer", finding.pointer.map { .string($0) }),
            ("remedy", finding.remedy.map { .string($0) }))
    }
}
