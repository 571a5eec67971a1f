/// How much of a message is read before it is refused.
public struct HTTPLimits: Sendable, Equatable {
    /// Bytes of a head, its empty line included.
    public var headBytes: Int
    /// Header fields of a head.
    public var fields: Int

    public init(headBytes: Int = 65_536, fields: Int = 100) {
        self.headBytes = headBytes
        self.fields = fields
    }
}

/// Why bytes are not an HTTP/1 message that we accept.
public enum HTTPError: Error, Sendable, Equatable {
    case headTooLarge, tooManyFields
    case badStartLine, badVersion, badFieldName, badFieldValue
    /// A continuation line (RFC 9112 §5.2).
    case obsoleteFold
    case bareCR, bareLF
    /// No `Host`, or more than one.
    case badHost
    case badContentLength, duplicateContentLength
    /// The request smuggling shape: both framings in one head.
    case lengthAndTransferEncoding
    /// Anything but one `chunked`.
    case badTransferEncoding
    case badChunk, trailersTooLarge, bodyTooLarge
    /// Bytes of a further request before the present one was answered.
    case pipelined
    /// The peer closed in the middle of a message.
    case truncated

    /// The status a server answers it with.
    public var status: Int {
        switch self {
        case .headTooLarge, .tooManyFields, .trailersTooLarge: 431
        case .bodyTooLarge: 413
        case .badTransferEncoding: 501
        case .badVersion: 505
        default: 400
        }
    }

    /// One line for a log or an error body.
    public var reason: String {
        switch self {
        case .headTooLarge: "the head is larger than the limit"
        case .tooManyFields: "the head has too many fields"
        case .badStartLine: "malformed start line"
        case .badVersion: "unsupported HTTP version"
        case .badFieldName: "malformed header field name"
        case .badFieldValue: "malformed header field value"
        case .obsoleteFold: "folded header field"
        case .bareCR: "bare CR"
        case .bareLF: "bare LF"
        case .badHost: "exactly one Host is needed"
        case .badContentLength: "malformed Content-Length"
        case .duplicateContentLength: "more than one Content-Length"
        case .lengthAndTransferEncoding: "both Content-Length and Transfer-Encoding"
        case .badTransferEncoding: "unsupported Transfer-Encoding"
        case .badChunk: "malformed chunk"
        case .trailersTooLarge: "the trailers are larger than the limit"
        case .bodyTooLarge: "the body is larger than the limit"
        case .pipelined: "a further request before the answer"
        case .truncated: "the connection closed in the middle of a message"
        }
    }
}
