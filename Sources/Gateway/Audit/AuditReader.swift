import Glibc

/// Reads a chain back from its segments, with the payloads that are still there.
struct AuditReader: Sendable {
    let segments: AuditSegments

    init(directory: String) {
        segments = AuditSegments(directory: directory)
    }

    /// Calls `body` with the rows of `chain` after `sequence`, a few hundred at a time, oldest first. A line that
    /// does not hold (an unfinished one, or a broken chain: verification tells which) ends its segment.
    func rows(of chain: String, after sequence: Int64, _ body: ([AuditRow]) async throws -> Void) async throws {
        guard let numbers = try segments.list()[chain] else { return }
        let format = try AuditLineFormat()
        // The first segment that may hold a later row: the last whose first row is not later than the next one.
        var first = numbers.startIndex
        for index in numbers.indices.reversed() {
            guard let start = try firstRow(.init(chain: chain, number: numbers[index]), format) else { continue }
            first = index
            if start <= sequence + 1 { break }
        }
        for number in numbers[first...] {
            let segment = AuditSegments.Segment(chain: chain, number: number)
            let bytes = try AuditSegments.read(segments.rows(segment))
            let payloads = open(segments.payloads(segment), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
            defer { if payloads >= 0 { close(payloads) } }
            var batch: [AuditRow] = []
            for line in bytes.split(separator: UInt8(ascii: "\n")) {
                guard let (read, payload) = format.read(line) else { break }
                var row = read
                guard row.sequence > sequence else { continue }
                if let payload, payloads >= 0 {
                    let text = try AuditSegments.read(payloads, at: payload.offset, count: payload.size, segments.payloads(segment))
                    _ = format.restore(text, payload, into: &row)
                }
                batch.append(row)
                if batch.count == 500 {
                    try await body(batch)
                    batch.removeAll(keepingCapacity: true)
                }
            }
            if !batch.isEmpty { try await body(batch) }
        }
    }

    private func firstRow(_ segment: AuditSegments.Segment, _ format: AuditLineFormat) throws -> Int64? {
        let path = segments.rows(segment)
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw AuditSegments.failure(errno, "read", path) }
        defer { close(descriptor) }
        let head = try AuditSegments.read(descriptor, at: 0, count: 65_536, path)
        guard let end = head.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        return format.read(head[..<end])?.row.sequence
    }
}
