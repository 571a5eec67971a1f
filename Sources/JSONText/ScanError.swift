/// How large and how deep a message may be.
public struct ScanLimits: Sendable, Equatable {
    /// Longest text accepted, in bytes.
    public var maximumBytes: Int
    /// Deepest nesting accepted, the outermost object counting as one. At most 64.
    public var maximumDepth: Int

    public init(maximumBytes: Int = 16 << 20, maximumDepth: Int = 64) {
        self.maximumBytes = maximumBytes
        self.maximumDepth = min(maximumDepth, 64)
    }
}

/// Why a text is not one acceptable JSON-RPC message.
public struct ScanError: Error, Sendable, Equatable {
    public enum Reason: String, Sendable, CaseIterable {
        // Not JSON as we accept it.
        case unexpectedEnd = "unexpected end"
        case unexpectedByte = "unexpected byte"
        case trailingBytes = "bytes after the end of the value"
        case invalidNumber = "invalid number"
        case invalidEscape = "invalid escape sequence"
        case controlCharacter = "unescaped control character in a string"
        case invalidUTF8 = "invalid UTF-8"
        case loneSurrogate = "lone surrogate"
        case tooDeep = "nested too deeply"
        case tooLarge = "too large"
        // JSON, but not one JSON-RPC message.
        case batch = "batch"
        case notAnObject = "not an object"
        case notJSONRPC2 = "jsonrpc is not \"2.0\""
        case invalidID = "id is neither a string nor an integer"
        case invalidMember = "a member has the wrong type"
        case ambiguousKind = "neither one request, one notification nor one response"
        case duplicateKey = "duplicate key"
        case lookalikeKey = "key differs from a protocol key in letter case only"
        // A JSON-RPC request whose parameters are not MCP's.
        case invalidParams = "params or params._meta is not an object"
    }

    public let reason: Reason
    /// Where it was noticed.
    public let offset: Int
    /// The message's `id`, if it had been read by then.
    public let id: JSONSpan?
    /// Whether a `method` had been read by then, so that the text is no answer.
    public let hasMethod: Bool

    public init(_ reason: Reason, at offset: Int, id: JSONSpan? = nil, hasMethod: Bool = false) {
        self.reason = reason
        self.offset = offset
        self.id = id
        self.hasMethod = hasMethod
    }

    /// Whether the text is not JSON at all, as opposed to JSON that is not an acceptable message.
    public var isMalformed: Bool {
        switch reason {
        case .unexpectedEnd, .unexpectedByte, .trailingBytes, .invalidNumber, .invalidEscape, .controlCharacter, .invalidUTF8,
            .loneSurrogate, .tooDeep, .tooLarge:
            true
        case .batch, .notAnObject, .notJSONRPC2, .invalidID, .invalidMember, .ambiguousKind, .duplicateKey, .lookalikeKey, .invalidParams:
            false
        }
    }
}
