import Glibc
import NIOCore

/// Splits one whole head into its start line and its fields, and reads from them what frames the body.
struct HeadParser {
    let all: UnsafeRawBufferPointer
    let limits: HTTPLimits
    private(set) var startLine = 0..<0
    private(set) var spans: [HTTPFields.Span] = []
    private(set) var contentLength: Int?
    private(set) var isChunked = false
    private(set) var hosts = 0
    private(set) var connectionClose = false
    private(set) var connectionKeepAlive = false

    /// Splits `bytes`, which must be exactly one head, and makes of it what `body` does; the parser is valid only there.
    static func parse<Head>(
        _ bytes: ByteBuffer, limits: HTTPLimits, _ body: (HeadParser) throws(HTTPError) -> Head
    ) throws(HTTPError) -> Head {
        let parsed: Result<Head, HTTPError> = bytes.withUnsafeReadableBytes { all in
            do throws(HTTPError) { return .success(try body(HeadParser(all, limits: limits))) } catch { return .failure(error) }
        }
        return try parsed.get()
    }

    private init(_ all: UnsafeRawBufferPointer, limits: HTTPLimits) throws(HTTPError) {
        self.all = all
        self.limits = limits
        guard all.count <= limits.headBytes else { throw .headTooLarge }
        spans.reserveCapacity(12)
        startLine = try line(from: 0)
        guard !startLine.isEmpty else { throw .badStartLine }
        var position = startLine.upperBound + 2
        while true {
            let line = try line(from: position)
            position = line.upperBound + 2
            if line.isEmpty { break }
            try field(line)
        }
        guard position == all.count else { throw .badStartLine }
        if isChunked, contentLength != nil { throw .lengthAndTransferEncoding }
    }

    /// The line that starts at `start`, without its CRLF.
    private func line(from start: Int) throws(HTTPError) -> Range<Int> {
        guard let base = all.baseAddress, start < all.count,
            let hit = memchr(base + start, CInt(ASCII.lf), all.count - start)
        else { throw .truncated }
        let end = base.distance(to: UnsafeRawPointer(hit))
        guard end > start, all[end - 1] == ASCII.cr else { throw .bareLF }
        return start..<end - 1
    }

    private mutating func field(_ line: Range<Int>) throws(HTTPError) {
        guard spans.count < limits.fields else { throw .tooManyFields }
        if ASCII.isBlank(all[line.lowerBound]) { throw .obsoleteFold }
        var colon = line.lowerBound
        while colon < line.upperBound, ASCII.isToken(all[colon]) { colon += 1 }
        guard colon > line.lowerBound, colon < line.upperBound, all[colon] == ASCII.colon else { throw .badFieldName }
        var start = colon + 1
        var end = line.upperBound
        while start < end, ASCII.isBlank(all[start]) { start += 1 }
        while end > start, ASCII.isBlank(all[end - 1]) { end -= 1 }
        for index in start..<end where !ASCII.isFieldValue(all[index]) {
            throw all[index] == ASCII.cr ? .bareCR : .badFieldValue
        }
        spans.append(
            .init(
                name: UInt32(line.lowerBound), nameLength: UInt32(colon - line.lowerBound),
                value: UInt32(start), valueLength: UInt32(end - start)))
        try frame(
            UnsafeRawBufferPointer(rebasing: all[line.lowerBound..<colon]),
            UnsafeRawBufferPointer(rebasing: all[start..<end]))
    }

    /// Lengths tell most names apart before a byte is compared.
    private mutating func frame(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(HTTPError) {
        switch name.count {
        case 4 where ASCII.equal(name, "host"):
            hosts += 1
        case 10 where ASCII.equal(name, "connection"):
            for part in value.split(separator: UInt8(ascii: ",")) {
                let token = ASCII.trim(UnsafeRawBufferPointer(rebasing: part))
                if ASCII.equal(token, "close") { connectionClose = true }
                if ASCII.equal(token, "keep-alive") { connectionKeepAlive = true }
            }
        case 14 where ASCII.equal(name, "content-length"):
            guard contentLength == nil else { throw .duplicateContentLength }
            guard let length = ASCII.decimal(value) else { throw .badContentLength }
            contentLength = length
        case 17 where ASCII.equal(name, "transfer-encoding"):
            guard !isChunked, ASCII.equal(value, "chunked") else { throw .badTransferEncoding }
            isChunked = true
        default:
            break
        }
    }

    /// Reads `HTTP/1.0` or `HTTP/1.1` at `start`: its minor version.
    func version(at start: Int) throws(HTTPError) -> Int {
        guard start + 8 <= startLine.upperBound else { throw .badStartLine }
        let text = UnsafeRawBufferPointer(rebasing: all[start..<start + 8])
        guard text.starts(with: "HTTP/".utf8), ASCII.isDigit(text[5]), text[6] == UInt8(ascii: "."), ASCII.isDigit(text[7]) else {
            throw .badStartLine
        }
        guard text[5] == UInt8(ascii: "1"), text[7] <= UInt8(ascii: "1") else { throw .badVersion }
        return Int(text[7] - UInt8(ascii: "0"))
    }

    /// Whether the connection may carry another message after this one.
    func keepAlive(minorVersion: Int) -> Bool {
        minorVersion == 0 ? connectionKeepAlive && !connectionClose : !connectionClose
    }
}
