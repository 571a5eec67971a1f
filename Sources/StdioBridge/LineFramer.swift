import Glibc
import MCP
public import NIOCore

/// Cuts a child's output into lines: one JSON-RPC message each. Tolerates CRLF and a byte order mark, skips blank lines,
/// and after a line beyond the limit finds its way again at the next newline.
public struct LineFramer: Sendable {
    /// What came out of the stream.
    public enum Frame: Sendable, Equatable {
        /// A line without its end.
        case line(ByteBuffer)
        /// A line longer than the limit: its first bytes and its whole length.
        case oversized(prefix: ByteBuffer, bytes: Int)
    }

    private let limit: Int
    private var buffer = ByteBuffer()
    /// Bytes at the front of `buffer` that are known to hold no newline.
    private var searched = 0
    private var discarding: (prefix: ByteBuffer, bytes: Int)?
    /// Lines that have ended so far, whatever became of them.
    private(set) var lines = 0

    public init(limit: Int = 16 << 20) {
        self.limit = limit
    }

    /// Bytes held for a line that has no end yet.
    public var pendingBytes: Int { buffer.readableBytes }

    /// The beginning of that line.
    var pendingLine: ByteBuffer { ByteBuffer(buffer.readableBytesView.prefix(Back.oversizedPrefix)) }

    /// Takes the next chunk; call `next()` until it is `nil` afterwards.
    public mutating func append(_ chunk: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = chunk
            searched = 0
        } else {
            buffer.writeImmutableBuffer(chunk)
        }
    }

    /// The next whole line.
    public mutating func next() -> Frame? {
        while true {
            if discarding == nil, searched == 0 { skipBlanks() }
            guard let end = newlineOffset() else {
                holdRest()
                return nil
            }
            let line = buffer.readSlice(length: end) ?? ByteBuffer()
            buffer.moveReaderIndex(forwardBy: 1)
            searched = 0
            lines += 1
            if let (prefix, bytes) = discarding {
                discarding = nil
                return .oversized(prefix: prefix, bytes: bytes + end)
            }
            if end > limit {
                return .oversized(prefix: ByteBuffer(line.readableBytesView.prefix(Back.oversizedPrefix)), bytes: end)
            }
            if let frame = Self.trimmed(line) { return .line(frame) }
        }
    }

    /// What stands after the last newline when the stream ends.
    public mutating func finish() -> Frame? {
        defer {
            buffer = ByteBuffer()
            searched = 0
            discarding = nil
        }
        if let (prefix, bytes) = discarding { return .oversized(prefix: prefix, bytes: bytes + buffer.readableBytes) }
        return Self.trimmed(buffer).map(Frame.line)
    }

    /// Blank lines are nothing, and a pipe can be full of them.
    private mutating func skipBlanks() {
        let blanks = buffer.withUnsafeReadableBytes { bytes in bytes.prefix { $0 == 0x0A || $0 == 0x0D || $0 == 0x20 || $0 == 0x09 }.count }
        buffer.moveReaderIndex(forwardBy: blanks)
    }

    private func newlineOffset() -> Int? {
        buffer.withUnsafeReadableBytes { bytes -> Int? in
            guard let base = bytes.baseAddress, searched < bytes.count,
                let hit = memchr(base + searched, 0x0A, bytes.count - searched)
            else { return nil }
            return UnsafeRawPointer(hit) - base
        }
    }

    private mutating func holdRest() {
        if let (prefix, bytes) = discarding {
            discarding = (prefix, bytes + buffer.readableBytes)
            buffer = ByteBuffer()
        } else if buffer.readableBytes > limit {
            discarding = (ByteBuffer(buffer.readableBytesView.prefix(Back.oversizedPrefix)), buffer.readableBytes)
            buffer = ByteBuffer()
        }
        searched = buffer.readableBytes
    }

    private static func trimmed(_ line: ByteBuffer) -> ByteBuffer? {
        var line = line
        if line.readableBytes >= 3, line.readableBytesView.prefix(3).elementsEqual([0xEF, 0xBB, 0xBF]) {
            line.moveReaderIndex(forwardBy: 3)
        }
        while let last = line.readableBytesView.last, last == 0x0D || last == 0x20 || last == 0x09 {
            line.moveWriterIndex(to: line.writerIndex - 1)
        }
        while let first = line.readableBytesView.first, first == 0x20 || first == 0x09 || first == 0x0D {
            line.moveReaderIndex(forwardBy: 1)
        }
        return line.readableBytes == 0 ? nil : line
    }
}
