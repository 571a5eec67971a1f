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
        var checked = AuditChains(format: try AuditLineFormat())
        for (chain, numbers) in try segments.list().sorted(by: { $0.key < $1.key }) {
            for number in numbers { try checked.take(.init(chain: chain, number: number), in: segments) }
        }
        return checked.report
    }
}

/// Chains checked segment by segment, each of them in the order of its numbers.
struct AuditChains {
    private let format: AuditLineFormat
    private(set) var report = AuditVerification.Report()
    /// Of the chain at hand, which is the last of the report's.
    private var next = 1
    private var isBroken = false
    /// The line that the last segment was left in the middle of.
    private var unfinished: (segment: Int, line: Int)?

    init(format: AuditLineFormat) { self.format = format }

    /// Checks the next segment; those of one chain come one after the other.
    mutating func take(_ segment: AuditSegments.Segment, in segments: AuditSegments) throws {
        if report.chains.last?.chain != segment.chain {
            report.chains.append(.init(chain: segment.chain, rows: 0, lastHash: AuditRow.firstPreviousHash))
            (next, isBroken, unfinished) = (1, false, nil)
        }
        guard !isBroken else { return }
        if let unfinished { return fail(segment.chain, unfinished.segment, unfinished.line, "the line is unfinished") }
        guard segment.number == next else { return fail(segment.chain, segment.number, 0, "segment \(next) is missing") }
        next += 1
        var line = 0
        var chain = report.chains[report.chains.count - 1]
        let reason = try check(segments, segment, &chain, &line)
        report.chains[report.chains.count - 1] = chain
        if let reason { fail(segment.chain, segment.number, line, reason) }
    }

    private mutating func fail(_ chain: String, _ segment: Int, _ line: Int, _ reason: String) {
        isBroken = true
        if report.firstBroken == nil { report.firstBroken = .init(chain: chain, segment: segment, line: line, reason: reason) }
    }

    /// Checks one segment; answers why its row `line` does not hold.
    private mutating func check(
        _ segments: AuditSegments, _ segment: AuditSegments.Segment, _ chain: inout AuditVerification.Report.Chain, _ line: inout Int
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
        // A line being written, or torn by a kill, can only be the last of all.
        if !tail.isEmpty { unfinished = (segment.number, line + 1) }
        return nil
    }
}
