import NIOCore

/// The head of a request, read strictly.
public struct RequestHead: Sendable {
    public let method: String
    /// As it stands in the request line.
    public let target: String
    /// 0 or 1.
    public let minorVersion: Int
    public let fields: HTTPFields
    public let framing: BodyFraming
    /// Whether the client lets the connection live on.
    public let keepAlive: Bool

    /// The target up to its query.
    public var path: Substring { target.prefix { $0 != "?" } }

    /// What follows the first `?`.
    public var query: Substring? { target.firstIndex(of: "?").map { target[target.index(after: $0)...] } }

    /// Reads exactly one head, its empty line included.
    ///
    /// - Throws: `HTTPError`, naming the rule that the bytes break.
    public init(parsing bytes: ByteBuffer, limits: HTTPLimits = HTTPLimits()) throws(HTTPError) {
        self = try HeadParser.parse(bytes, limits: limits) { parser throws(HTTPError) in try RequestHead(parser, bytes) }
    }

    private init(_ parser: HeadParser, _ bytes: ByteBuffer) throws(HTTPError) {
        let all = parser.all
        let line = parser.startLine
        var methodEnd = line.lowerBound
        while methodEnd < line.upperBound, ASCII.isToken(all[methodEnd]) { methodEnd += 1 }
        guard methodEnd > line.lowerBound, methodEnd < line.upperBound, all[methodEnd] == ASCII.space else { throw .badStartLine }
        var targetEnd = methodEnd + 1
        while targetEnd < line.upperBound, ASCII.isVisible(all[targetEnd]) { targetEnd += 1 }
        guard targetEnd > methodEnd + 1, targetEnd < line.upperBound, all[targetEnd] == ASCII.space else { throw .badStartLine }
        minorVersion = try parser.version(at: targetEnd + 1)
        guard targetEnd + 9 == line.upperBound else { throw .badStartLine }
        guard parser.hosts == 1 || (parser.hosts == 0 && minorVersion == 0) else { throw .badHost }
        // RFC 9112 §6.1: a 1.0 client does not know chunked, so the field is somebody else's.
        if parser.isChunked, minorVersion == 0 { throw .badTransferEncoding }
        method = String(decoding: all[line.lowerBound..<methodEnd], as: UTF8.self)
        target = String(decoding: all[methodEnd + 1..<targetEnd], as: UTF8.self)
        fields = HTTPFields(bytes: bytes, spans: parser.spans)
        keepAlive = parser.keepAlive(minorVersion: minorVersion)
        framing = parser.isChunked ? .chunked : parser.contentLength.map { $0 == 0 ? .none : .length($0) } ?? .none
    }
}
