import Persistence
import Sealing

/// The audit log of one writing loop: an append-only chain of rows in segments, each row with the hash of the one before,
/// payloads beside them. A row is in the file when `append` returns; if it cannot be, `append` throws and nothing is.
///
/// Confined to its loop. A row survives `kill -9`, since what was written is the kernel's, but not the host's power cut.
public final class AuditJournal {
    public let chain: String
    /// Of the last row.
    public private(set) var sequence: Int64 = 0
    /// What was cut off at opening: the line that a killed process did not finish.
    public private(set) var repairedBytes = 0

    private let segments: AuditSegments
    private let segmentSize: Int
    private let onAppend: (@Sendable ([AuditRow]) -> Void)?
    private let format: AuditLineFormat
    private var previousHash = AuditRow.firstPreviousHash
    private var number = 1
    private var rows: AuditFile
    private var payloads: AuditFile
    private var rowBytes: [UInt8] = []
    private var payloadBytes: [UInt8] = []

    /// Opens the chain in `directory`, or begins it. A torn last line is cut off, and a row says so.
    ///
    /// - Parameters:
    ///   - chain: `[a-z0-9]+`, one per writing loop.
    ///   - onAppend: hears of the rows in order, after they are in the file.
    /// - Throws: ``AuditError``, or `StateError` about the directory.
    public init(
        directory: String, chain: String, segmentSize: Int = 16 << 20, onAppend: (@Sendable ([AuditRow]) -> Void)? = nil
    ) throws {
        guard AuditSegments.isChain(chain) else { throw AuditError(code: .damaged, message: "audit log: \(chain) is no chain name") }
        try StateDirectory.prepare(directory)
        self.chain = chain
        self.segmentSize = segmentSize
        self.onAppend = onAppend
        segments = AuditSegments(directory: directory)
        format = try AuditLineFormat()

        let end = try AuditJournalEnd(segments, chain: chain, format: format)
        number = end.number
        sequence = end.sequence
        previousHash = end.hash
        repairedBytes = end.tornBytes
        let segment = AuditSegments.Segment(chain: chain, number: end.number)
        rows = try AuditFile(segments.rows(segment), size: end.rowsSize)
        payloads = try AuditFile(segments.payloads(segment), size: end.payloadsSize)
        // Others in their place would be taken for changed ones.
        if end.hasLostPayloads { try roll() }
        if repairedBytes > 0 {
            var row = AuditRow(method: "audit/repair", outcome: .allowed, principal: "berth:gateway")
            row.reason = "an unfinished line of \(repairedBytes) bytes was cut off after an unclean end"
            try append(row)
        }
    }

    /// Appends one row; answers it with its place in the chain.
    @discardableResult
    public func append(_ row: AuditRow) throws(AuditError) -> AuditRow { try append([row])[0] }

    /// Appends rows with one `write(2)` (and one for their payloads).
    ///
    /// - Throws: ``AuditError`` with `cannotWrite`: none of them is in the log.
    @discardableResult
    public func append(_ batch: [AuditRow]) throws(AuditError) -> [AuditRow] {
        guard !batch.isEmpty else { return [] }
        if rows.size >= segmentSize || payloads.size >= segmentSize { try roll() }
        rowBytes.removeAll(keepingCapacity: true)
        payloadBytes.removeAll(keepingCapacity: true)
        var batch = batch.map { $0.bounded() }
        var last = previousHash
        do {
            for index in batch.indices {
                batch[index].chain = chain
                batch[index].sequence = sequence + Int64(index) + 1
                batch[index].previousHash = last
                let payload = try format.appendPayload(of: batch[index], segmentOffset: payloads.size, to: &payloadBytes)
                last = try format.append(batch[index], payload: payload, to: &rowBytes)
                batch[index].hash = last
            }
        } catch {
            throw AuditError(code: .cannotWrite, message: "audit log: no hash: \(error)")
        }
        // Payloads first: a row never names what is not there, and a payload without its row is cut off at opening.
        let payloadsBefore = payloads.size
        if !payloadBytes.isEmpty { try payloads.append(payloadBytes) }
        do throws(AuditError) {
            try rows.append(rowBytes)
        } catch {
            if payloads.size > payloadsBefore { try? payloads.cut(to: payloadsBefore) }
            throw error
        }
        previousHash = last
        sequence += Int64(batch.count)
        onAppend?(batch)
        return batch
    }

    private func roll() throws(AuditError) {
        let next = AuditSegments.Segment(chain: chain, number: number + 1)
        // Left over from a roll that failed half-way, they are empty.
        let newRows = try AuditFile(segments.rows(next), size: 0)
        let newPayloads = try AuditFile(segments.payloads(next), size: 0)
        rows = newRows
        payloads = newPayloads
        number += 1
    }
}

/// Where a chain ends on disk.
struct AuditJournalEnd {
    var number = 1
    var sequence: Int64 = 0
    var hash = AuditRow.firstPreviousHash
    var rowsSize = 0
    var payloadsSize = 0
    /// Rows name payloads that were removed.
    var hasLostPayloads = false
    var tornBytes = 0

    init(_ segments: AuditSegments, chain: String, format: AuditLineFormat) throws(AuditError) {
        guard let numbers = try segments.list()[chain], let last = numbers.last else { return }
        number = last
        var bytes = try AuditSegments.read(segments.rows(.init(chain: chain, number: last)))
        rowsSize = (bytes.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
        tornBytes = bytes.count - rowsSize
        bytes.removeLast(tornBytes)
        let size = AuditSegments.size(segments.payloads(.init(chain: chain, number: last)))
        let payloadEnd = Self.payloadEnd(bytes, format)
        hasLostPayloads = size < payloadEnd
        payloadsSize = min(size, payloadEnd)
        if bytes.isEmpty, numbers.count > 1 {
            // Rolled, and killed before its first row.
            bytes = try AuditSegments.read(segments.rows(.init(chain: chain, number: numbers[numbers.count - 2])))
        }
        guard !bytes.isEmpty else {
            guard last == 1 else { throw AuditError(code: .damaged, message: "audit log: chain \(chain) has lost its rows") }
            return
        }
        let start = (bytes.dropLast().lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1
        guard let read = format.read(bytes[start..<(bytes.count - 1)]), read.row.chain == chain else {
            throw AuditError(
                code: .damaged, message: "audit log: the last row of chain \(chain) does not hold: move the directory away, or restore it")
        }
        sequence = read.row.sequence
        hash = read.row.hash
    }

    /// Where the last payload that a row names ends.
    private static func payloadEnd(_ rows: [UInt8], _ format: AuditLineFormat) -> Int {
        for line in rows.split(separator: UInt8(ascii: "\n")).reversed() {
            guard let read = format.read(line) else { continue }
            if let payload = read.payload { return payload.offset + payload.size + 1 }
        }
        return 0
    }
}
