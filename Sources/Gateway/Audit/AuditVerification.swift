import Glibc

/// Checks the journal's chains from their first rows on.
public enum AuditVerification {
    /// What was found.
    public struct Report: Sendable, Equatable {
        public struct Chain: Sendable, Equatable {
            public var chain: String
            public var rows: Int
            public var lastHash: String
        }
        public struct Broken: Sendable, Equatable {
            public var chain: String
            /// Number of the segment.
            public var segment: Int
            /// Line in the segment, from 1.
            public var line: Int
            public var reason: String
        }
        public var chains: [Chain] = []
        /// The first row that does not hold, of the first chain that has one.
        public var firstBroken: Broken?
        /// Rows whose payload is gone; one that is there and does not match is a broken row.
        public var missingPayloads = 0
        public var isIntact: Bool { firstBroken == nil }
    }

    /// Whether there is a chain to verify.
    public static func holdsRows(directory: String) -> Bool { (try? AuditSegments(directory: directory).list())?.isEmpty == false }

    /// Reads every segment in `directory`. A chain that breaks is not read further.
    public static func verify(directory: String) throws -> Report {
        let segments = AuditSegments(directory: directory)
        let format = try AuditLineFormat()
        var report = Report()
        for (chain, numbers) in try segments.list().sorted(by: { $0.key < $1.key }) {
            var state = Report.Chain(chain: chain, rows: 0, lastHash: AuditRow.firstPreviousHash)
            for (index, number) in numbers.enumerated() {
                var line = 0
                let reason =
                    number == index + 1
                    ? try check(segments, .init(chain: chain, number: number), number == numbers.last, format, &state, &report, &line)
                    : "segment \(index + 1) is missing"
                guard let reason else { continue }
                if report.firstBroken == nil { report.firstBroken = .init(chain: chain, segment: number, line: line, reason: reason) }
                break
            }
            report.chains.append(state)
        }
        return report
    }

    /// Checks one segment; answers why its row `line` does not hold.
    private static func check(
        _ segments: AuditSegments, _ segment: AuditSegments.Segment, _ isLast: Bool, _ format: AuditLineFormat,
        _ chain: inout Report.Chain, _ report: inout Report, _ line: inout Int
    ) throws -> String? {
        let bytes = try AuditSegments.read(segments.rows(segment))
        let path = segments.payloads(segment)
        let payloads = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        defer { if payloads >= 0 { close(payloads) } }
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let tail = lines.popLast() ?? []
        for text in lines {
            line += 1
            guard let (read, payload) = format.read(text) else { return "the row was changed" }
            var row = read
            guard row.chain == segment.chain else { return "the row belongs to another chain" }
            guard row.previousHash == chain.lastHash else { return "a row before it is missing or was changed" }
            guard row.sequence == Int64(chain.rows) + 1 else { return "its number does not follow" }
            if let payload {
                let bytes = payloads < 0 ? [] : try AuditSegments.read(payloads, at: payload.offset, count: payload.size, path)
                if !format.restore(bytes, payload, into: &row) {
                    guard bytes.count < payload.size else { return "its arguments or result were changed" }
                    report.missingPayloads += 1
                }
            }
            chain.rows += 1
            chain.lastHash = row.hash
        }
        line += 1
        // A line being written, or torn by a kill, can only be the last of all.
        return tail.isEmpty || isLast ? nil : "the line is unfinished"
    }
}
