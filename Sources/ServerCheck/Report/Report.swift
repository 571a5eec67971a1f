/// What `berth test` found out about one server.
public struct Report: Sendable, Equatable {
    /// The command that was tested.
    public var command: [String]
    public var name: String?
    public var version: String?
    /// `legacy` or `modern`.
    public var era: String?
    /// The revision that the server speaks.
    public var protocolVersion: String?
    public var tools: Int?
    public var startMilliseconds: Int?
    public var residentBytes: Int?
    public private(set) var findings: [Finding] = []

    public init(command: [String]) {
        self.command = command
    }

    public mutating func add(_ finding: Finding) { findings.append(finding) }
    public mutating func add(_ findings: [Finding]) { self.findings += findings }

    public func count(_ severity: Finding.Severity) -> Int { findings.count { $0.severity == severity } }

    /// - Parameter isStrict: warnings count as failures.
    public func hasPassed(isStrict: Bool = false) -> Bool { count(.failure) == 0 && !(isStrict && count(.warning) > 0) }

    /// The findings by group, groups in the order in which they came.
    var groups: [(name: String, findings: [Finding])] {
        var all: [(name: String, findings: [Finding])] = []
        for finding in findings {
            if let index = all.firstIndex(where: { $0.name == finding.group }) {
                all[index].findings.append(finding)
            } else {
                all.append((finding.group, [finding]))
            }
        }
        return all
    }
}
