import JSONText
import NIOCore

extension ByteBuffer {
    /// The bytes of `span`, sharing this buffer's storage. Spans count from the first readable byte.
    func slice(_ span: JSONSpan) -> ByteBuffer {
        getSlice(at: readerIndex + span.start, length: span.count) ?? ByteBuffer()
    }

    /// A copy of the bytes of `span`.
    func bytes(_ span: JSONSpan) -> [UInt8] {
        getBytes(at: readerIndex + span.start, length: span.count) ?? []
    }

    /// All readable bytes.
    var bytes: [UInt8] { Array(readableBytesView) }

    /// This text with `splice` applied, and room for `suffix` more bytes.
    func applying(_ splice: Splice, suffix: Int = 0) -> ByteBuffer {
        guard !splice.isEmpty else { return self }
        var out = ByteBufferAllocator().buffer(capacity: splice.outcomeCount(of: readableBytes) + suffix)
        splice.forEachPiece(of: readableBytes) { piece in
            switch piece {
            case .original(let span): out.writeImmutableBuffer(slice(span))
            case .bytes(let bytes): out.writeBytes(bytes)
            }
        }
        return out
    }
}

extension JSONValue {
    /// The value's text as a buffer.
    var buffer: ByteBuffer { ByteBuffer(bytes: serialized()) }
}
