public import NIOCore

/// What a child writes to its stderr: always read, never trusted. Lines go to the log at a bounded rate with the values of
/// its credentials masked; the last 4 KiB stay for whoever asks why it died.
public struct StderrLog: Sendable {
    private let mask: SecretMask
    private var partial: [UInt8] = []
    private var skippingLine = false
    private var tail: [UInt8] = []
    private var tailWasCut = false
    private var allowance: Int
    private var allowanceAt: NIODeadline
    private var dropped = 0
    private var complaint = ProbeComplaint()
    /// All bytes read so far.
    public private(set) var bytes = 0
    /// Lines that the rate limit kept out of the log.
    public private(set) var droppedLines = 0

    private static let tailBytes = 4096
    private static let lineBytes = 8192
    private static let linesPerSecond = 100
    private static let burst = 400

    public init(mask: SecretMask = SecretMask(), now: NIODeadline = .now()) {
        self.mask = mask
        allowance = Self.burst
        allowanceAt = now
    }

    /// Takes a chunk and returns the lines to log.
    public mutating func append(_ chunk: ByteBuffer, now: NIODeadline = .now()) -> [String] {
        bytes += chunk.readableBytes
        keepTail(chunk)
        refill(now)
        var lines: [String] = []
        for piece in chunk.readableBytesView.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            if piece.offset > 0 { endLine(into: &lines) }
            hold(piece.element, into: &lines)
        }
        return lines
    }

    /// The unfinished last line, when the stream has ended.
    public mutating func finish() -> [String] {
        var lines: [String] = []
        endLine(into: &lines)
        lines += complaint.finish()
        if dropped > 0 { lines.append("\(dropped) lines dropped") }
        dropped = 0
        return lines
    }

    /// The last 4 KiB, masked.
    public var lastLines: String {
        // A value may have been cut in half where the tail begins, so that much is left out.
        let text = mask.masked(tail, skipping: tailWasCut ? min(tail.count, mask.longest) : 0)
        return String(decoding: text.suffix(Self.tailBytes), as: UTF8.self)
    }

    private mutating func hold(_ piece: ByteBufferView.SubSequence, into lines: inout [String]) {
        if skippingLine { return }
        let limit = Self.lineBytes + mask.longest
        partial.append(contentsOf: piece.prefix(limit - partial.count + 1))
        if partial.count > limit {
            // Emitted without its end, where a value may have been cut; the rest of that line is not logged.
            emit(mask.head(of: partial, limit: Self.lineBytes).bytes, into: &lines)
            partial.removeAll(keepingCapacity: true)
            skippingLine = true
        }
    }

    private mutating func endLine(into lines: inout [String]) {
        if skippingLine {
            skippingLine = false
            return
        }
        if partial.last == 0x0D { partial.removeLast() }
        if !partial.isEmpty { emit(nil, into: &lines) }
        partial.removeAll(keepingCapacity: true)
    }

    private mutating func emit(_ text: [UInt8]?, into lines: inout [String]) {
        guard allowance > 0 else {
            dropped += 1
            droppedLines += 1
            return
        }
        let shown = complaint.take(String(decoding: text ?? mask.masked(partial), as: UTF8.self))
        allowance -= shown.count
        if dropped > 0, !shown.isEmpty {
            lines.append("\(dropped) lines dropped")
            dropped = 0
        }
        lines += shown
    }

    private mutating func refill(_ now: NIODeadline) {
        let elapsed = (now - allowanceAt).nanoseconds
        let earned = Int(elapsed / (1_000_000_000 / Int64(Self.linesPerSecond)))
        guard earned > 0 else { return }
        allowance = min(Self.burst, allowance + earned)
        allowanceAt = now
    }

    private mutating func keepTail(_ chunk: ByteBuffer) {
        let capacity = Self.tailBytes + mask.longest
        tail.append(contentsOf: chunk.readableBytesView.suffix(capacity))
        if tail.count > capacity {
            tail.removeFirst(tail.count - capacity)
            tailWasCut = true
        }
        if chunk.readableBytes > capacity { tailWasCut = true }
    }
}
