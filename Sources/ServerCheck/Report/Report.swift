import StdioBridge

/// What `berth test` found out about one server. What it was given in secret is nowhere in it, whoever repeats it.
public struct Report: Sendable {
    /// The command that was tested.
    public let command: [String]
    public var name: String? { didSet { name = name.map(mask.masked) } }
    public var version: String? { didSet { version = version.map(mask.masked) } }
    /// `legacy` or `modern`.
    public var era: String?
    /// The revision that the server speaks.
    public var protocolVersion: String?
    public var tools: Int?
    public var startMilliseconds: Int?
    public var residentBytes: Int?
    public private(set) var findings: [Finding] = []
    private let mask: SecretMask

    /// - Parameter secrets: values of the server's environment that are told to nobody.
    public init(command: [String], secrets: [String] = []) {
        mask = SecretMask(values: secrets)
        self.command = command.map(mask.masked)
    }

    public mutating func add(_ finding: Finding) {
        var finding = finding
        finding.text = mask.masked(finding.text)
        finding.remedy = finding.remedy.map(mask.masked)
        finding.tool = finding.tool.map(mask.masked)
        finding.pointer = finding.pointer.map(mask.masked)
        findings.append(finding)
    }

    public mutating func add(_ findings: [Finding]) { for finding in findings { add(finding) } }

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
