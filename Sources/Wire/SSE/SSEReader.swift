import NIOCore

/// Reads an event stream that arrives in pieces. Data of one line is handed on as a slice, without a copy.
public struct SSEReader: Sendable {
    private let maxEventBytes: Int
    private var input = ByteBuffer()
    /// Bytes at the front of `input` that hold no line end.
    private var scanned = 0
    private var bomChecked = false
    /// The last line ended with the last CR that there was: an LF that comes next belongs to it.
    private var skipsLineFeed = false
    private var event = ""
    private var data: ByteBuffer?
    private var dataBytes = 0
    private var id: String?
    private var retry: Int?
    /// Where the stream can be taken up: of the last event that had an id, also of one without data.
    public private(set) var lastEventID: String?
    /// Milliseconds until a lost stream may be asked for again, as said last.
    public private(set) var reconnectionTime: Int?

    /// - Parameter maxEventBytes: What one event may hold, and one line; beyond it `eventTooLarge` is thrown.
    public init(maxEventBytes: Int = 16 << 20) {
        self.maxEventBytes = maxEventBytes
    }

    /// What the unread input holds in memory.
    var storageCapacity: Int { input.storageCapacity }

    public mutating func feed(_ bytes: ByteBuffer) {
        input.enqueue(bytes)
    }

    /// The next whole event, `nil` when more bytes are needed. An event that the stream's end cuts off is never told.
    public mutating func next() throws(SSEError) -> SSEEvent? {
        guard skipByteOrderMark() else { return nil }
        while let line = try nextLine() {
            guard line.readableBytes > 0 else {
                if let whole = dispatch() { return whole }
                continue
            }
            try take(line)
        }
        return nil
    }

    private mutating func nextLine() throws(SSEError) -> ByteBuffer? {
        if skipsLineFeed, input.readableBytes > 0 {
            skipsLineFeed = false
            if input.getInteger(at: input.readerIndex, as: UInt8.self) == ASCII.lf { input.moveReaderIndex(forwardBy: 1) }
        }
        let found = input.withUnsafeReadableBytes { all -> (line: Int, next: Int, endsWithCR: Bool)? in
            guard let end = SSELines.end(in: all, from: scanned) else { return nil }
            return (end.line, end.next, end.next == all.count && all[end.next - 1] == ASCII.cr)
        }
        guard let found else {
            scanned = input.readableBytes
            if scanned + dataBytes > maxEventBytes { throw .eventTooLarge }
            return nil
        }
        if found.line + dataBytes > maxEventBytes { throw .eventTooLarge }
        scanned = 0
        skipsLineFeed = found.endsWithCR
        let line = input.readSlice(length: found.line)
        input.moveReaderIndex(forwardBy: found.next - found.line)
        return line
    }

    private mutating func take(_ line: ByteBuffer) throws(SSEError) {
        let view = line.readableBytesView
        let colon = view.firstIndex(of: ASCII.colon)
        if colon == view.startIndex { return }  // a comment
        let name = view[..<(colon ?? view.endIndex)]
        var start = colon.map { $0 + 1 } ?? view.endIndex
        if start < view.endIndex, view[start] == ASCII.space { start += 1 }
        let value = view[start...]
        if name.elementsEqual("data".utf8) {
            let slice = line.getSlice(at: line.readerIndex + (start - view.startIndex), length: value.count) ?? ByteBuffer()
            append(slice)
            if dataBytes > maxEventBytes { throw .eventTooLarge }
        } else if name.elementsEqual("event".utf8) {
            event = String(decoding: value, as: UTF8.self)
        } else if name.elementsEqual("id".utf8) {
            if !value.contains(0) { id = String(decoding: value, as: UTF8.self) }
        } else if name.elementsEqual("retry".utf8), !value.isEmpty, value.count <= 9, value.allSatisfy(ASCII.isDigit) {
            retry = value.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
            reconnectionTime = retry
        }
    }

    private mutating func append(_ slice: ByteBuffer) {
        if data == nil {
            data = slice
        } else {
            data?.writeInteger(ASCII.lf)
            data?.writeImmutableBuffer(slice)
        }
        dataBytes += slice.readableBytes + 1
    }

    private mutating func dispatch() -> SSEEvent? {
        defer {
            data = nil
            dataBytes = 0
            event = ""
            retry = nil
        }
        lastEventID = id ?? lastEventID
        guard let data else { return nil }
        return SSEEvent(event: event.isEmpty ? "message" : event, data: data, id: id, retry: retry)
    }

    /// Whether the start of the stream has been looked at for a byte order mark.
    private mutating func skipByteOrderMark() -> Bool {
        if bomChecked { return true }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let start = input.readableBytesView.prefix(3)
        if !mark.starts(with: start) {
            bomChecked = true
        } else if start.count == 3 {
            input.moveReaderIndex(forwardBy: 3)
            bomChecked = true
        }
        return bomChecked
    }
}
