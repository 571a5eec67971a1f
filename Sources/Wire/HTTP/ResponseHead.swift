import NIOCore

/// The head of a response, read strictly.
public struct ResponseHead: Sendable {
    public let status: Int
    public let reason: String
    /// 0 or 1.
    public let minorVersion: Int
    public let fields: HTTPFields
    /// Whether the server lets the connection live on.
    public let keepAlive: Bool
    private let isChunked: Bool
    /// The `Content-Length`, if there is one.
    public let contentLength: Int?

    /// What follows the head, which depends on the request that it answers (RFC 9112 §6.3).
    public func framing(requestMethod: String) -> BodyFraming {
        if requestMethod == "HEAD" || status < 200 || status == 204 || status == 304 { return .none }
        if isChunked { return .chunked }
        guard let contentLength else { return .untilClose }
        return contentLength == 0 ? .none : .length(contentLength)
    }

    /// Reads exactly one head, its empty line included.
    ///
    /// - Throws: `HTTPError`, naming the rule that the bytes break.
    public init(parsing bytes: ByteBuffer, limits: HTTPLimits = HTTPLimits()) throws(HTTPError) {
        self = try HeadParser.parse(bytes, limits: limits) { parser throws(HTTPError) in try ResponseHead(parser, bytes) }
    }

    private init(_ parser: HeadParser, _ bytes: ByteBuffer) throws(HTTPError) {
        let all = parser.all
        let line = parser.startLine
        minorVersion = try parser.version(at: line.lowerBound)
        let code = line.lowerBound + 9
        guard code + 3 <= line.upperBound, all[code - 1] == ASCII.space else { throw .badStartLine }
        guard let status = ASCII.decimal(UnsafeRawBufferPointer(rebasing: all[code..<code + 3])), status >= 100 else {
            throw .badStartLine
        }
        let rest = code + 3..<line.upperBound
        guard rest.isEmpty || all[rest.lowerBound] == ASCII.space else { throw .badStartLine }
        for index in rest where !ASCII.isFieldValue(all[index]) { throw .badStartLine }
        if parser.isChunked, minorVersion == 0 { throw .badTransferEncoding }
        self.status = status
        reason = String(decoding: all[rest.dropFirst()], as: UTF8.self)
        fields = HTTPFields(bytes: bytes, spans: parser.spans)
        keepAlive = parser.keepAlive(minorVersion: minorVersion)
        isChunked = parser.isChunked
        contentLength = parser.contentLength
    }
}
