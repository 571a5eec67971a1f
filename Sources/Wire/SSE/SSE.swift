import NIOCore

/// Writing `text/event-stream` (WHATWG HTML §9.2).
public enum SSE {
    /// One event. Data with line ends becomes several `data` lines, which a reader joins with LF again. Line ends and
    /// NUL in `event` and `id` become spaces.
    public static func write(data: ByteBuffer, event: String? = nil, id: String? = nil, into buffer: inout ByteBuffer) {
        writeFields(event: event, id: id, into: &buffer)
        buffer.writeStaticString("data: ")
        let start = data.readerIndex
        data.withUnsafeReadableBytes { all in
            var position = 0
            while let end = SSELines.end(in: all, from: position) {
                buffer.writeBytes(UnsafeRawBufferPointer(rebasing: all[position..<end.line]))
                buffer.writeStaticString("\ndata: ")
                position = end.next
            }
            buffer.writeBytes(UnsafeRawBufferPointer(rebasing: all[position...]))
        }
        assert(start == data.readerIndex)
        buffer.writeStaticString("\n\n")
    }

    /// An event with an id and empty data, and the milliseconds that a reader waits before a reconnection.
    public static func writePrime(id: String, retry: Int, into buffer: inout ByteBuffer) {
        writeFields(event: nil, id: id, into: &buffer)
        buffer.writeString("retry: \(retry)\ndata: \n\n")
    }

    /// A comment line, which readers skip: it keeps an idle connection open.
    public static func writeComment(_ text: String, into buffer: inout ByteBuffer) {
        buffer.writeStaticString(": ")
        writeLine(text, into: &buffer)
        buffer.writeStaticString("\n\n")
    }

    /// The fields before the data.
    static func writeFields(event: String?, id: String?, into buffer: inout ByteBuffer) {
        if let id {
            buffer.writeStaticString("id: ")
            writeLine(id, into: &buffer)
            buffer.writeStaticString("\n")
        }
        if let event {
            buffer.writeStaticString("event: ")
            writeLine(event, into: &buffer)
            buffer.writeStaticString("\n")
        }
    }

    /// Whether data can be sent as one `data` line as it is.
    static func isOneLine(_ data: ByteBuffer) -> Bool {
        data.withUnsafeReadableBytes { SSELines.end(in: $0, from: 0) == nil }
    }

    private static func writeLine(_ text: String, into buffer: inout ByteBuffer) {
        for byte in text.utf8 {
            buffer.writeInteger(byte == ASCII.cr || byte == ASCII.lf || byte == 0 ? ASCII.space : byte)
        }
    }
}

/// One event as a reader hands it on.
public struct SSEEvent: Sendable, Equatable {
    /// `message` unless the stream says otherwise.
    public var event: String
    public var data: ByteBuffer
    /// The last `id` that the stream told, from this event or an earlier one.
    public var id: String?
    /// Milliseconds to wait before a reconnection, if this event told it.
    public var retry: Int?

    public init(event: String = "message", data: ByteBuffer, id: String? = nil, retry: Int? = nil) {
        self.event = event
        self.data = data
        self.id = id
        self.retry = retry
    }
}

/// Why a stream is given up.
public enum SSEError: Error, Sendable, Equatable {
    case eventTooLarge
}
