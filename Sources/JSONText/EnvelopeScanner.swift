/// Finds the envelope of a JSON-RPC message in one strict pass over its bytes.
///
/// Two readers of one message must never see two different messages: policy here, a server in Python, Go or Node behind it. So what
/// parsers disagree about is refused: duplicate keys and keys that differ in letter case where routing looks, lone surrogates,
/// invalid UTF-8, bytes after the end. Names are compared after unescaping (`"tools\/call"` is `tools/call`).
public enum EnvelopeScanner {
    /// - Parameter text: the whole message. `array.span.bytes` of an array, `readableBytesSpan` of a `ByteBuffer`.
    /// - Throws: `ScanError`, with the message's id if it had been read.
    public static func scan(_ text: RawSpan, limits: ScanLimits = ScanLimits()) throws(ScanError) -> Envelope {
        guard text.byteCount <= limits.maximumBytes else { throw ScanError(.tooLarge, at: limits.maximumBytes) }
        var scan = EnvelopeScan(maximumDepth: limits.maximumDepth)
        do {
            try scan.message(text)
        } catch {
            throw ScanError(error.reason, at: error.offset, id: scan.envelope.id, hasMethod: scan.envelope.methodSpan != nil)
        }
        return scan.envelope
    }
}

/// The state of one scan.
struct EnvelopeScan {
    var envelope = Envelope()
    var lexer: JSONLexer
    /// The first fault that leaves the text readable: the scan goes on, to find the id that the refusal must echo.
    var violation: ScanError?
    private var seen = TopKeys()
    private var nullID = false
    private var nullParams = false

    struct TopKeys: OptionSet {
        var rawValue: UInt8
        static let jsonrpc = TopKeys(rawValue: 1)
        static let id = TopKeys(rawValue: 2)
        static let method = TopKeys(rawValue: 4)
        static let params = TopKeys(rawValue: 8)
        static let result = TopKeys(rawValue: 16)
        static let error = TopKeys(rawValue: 32)
    }

    init(maximumDepth: Int) {
        lexer = JSONLexer(maximumDepth: maximumDepth)
    }

    mutating func note(_ reason: ScanError.Reason, at offset: Int) {
        if violation == nil { violation = ScanError(reason, at: offset) }
    }

    mutating func message(_ text: RawSpan) throws(ScanError) {
        let first = try lexer.peek(text)
        if first == UInt8(ascii: "{") {
            if try lexer.openObject(text) {
                repeat { try member(text) } while try lexer.moreMembers(text)
            }
        } else {
            let start = lexer.position
            _ = try lexer.value(text, depth: 0)
            note(first == UInt8(ascii: "[") ? .batch : .notAnObject, at: start)
        }
        lexer.skipWhitespace(text)
        guard lexer.position == text.byteCount else { throw ScanError(.trailingBytes, at: lexer.position) }
        if let offset = lexer.loneSurrogate { throw ScanError(.loneSurrogate, at: offset) }
        if let violation { throw violation }
        try classify()
    }

    private mutating func classify() throws(ScanError) {
        guard seen.contains(.jsonrpc) else { throw ScanError(.notJSONRPC2, at: 0) }
        switch (seen.contains(.method), seen.contains(.result), seen.contains(.error)) {
        case (true, false, false):
            if nullID { throw ScanError(.invalidID, at: 0) }
            envelope.kind = envelope.id == nil ? .notification : .request
            // Servers send `"params":null` in notifications; a request's params are spliced, so they must be an object.
            if nullParams, envelope.kind == .request { throw ScanError(.invalidParams, at: 0) }
        case (false, true, false):
            guard envelope.id != nil else { throw ScanError(.invalidID, at: 0) }
            envelope.kind = .response
        case (false, false, true):
            envelope.kind = .errorResponse
        default:
            throw ScanError(.ambiguousKind, at: 0)
        }
    }

    private mutating func member(_ text: RawSpan) throws(ScanError) {
        let token = try lexer.key(text)
        guard let key = topKey(token, text) else {
            _ = try lexer.value(text, depth: 1)
            return
        }
        if seen.contains(key) {
            note(.duplicateKey, at: token.span.start)
            _ = try lexer.value(text, depth: 1)
            return
        }
        seen.insert(key)
        let first = text.byte(lexer.position)
        let start = lexer.position
        switch key {
        case .jsonrpc:
            let value = try lexer.value(text, depth: 1)
            if !text.matches(value.range, "\"2.0\"") { note(.notJSONRPC2, at: start) }
        case .id:
            if let span = try identifier(text, depth: 1) {
                envelope.id = span
            } else if first == UInt8(ascii: "n") {
                nullID = true
            } else {
                note(.invalidID, at: start)
            }
        case .method:
            guard first == UInt8(ascii: "\"") else {
                _ = try lexer.value(text, depth: 1)
                return note(.invalidMember, at: start)
            }
            let method = try lexer.string(text)
            envelope.methodSpan = method.span
            envelope.method = MethodNames.known(method, text) ?? JSONString.string(method, text)
        case .params:
            if first == UInt8(ascii: "{") {
                try params(text)
            } else {
                _ = try lexer.value(text, depth: 1)
                if first == UInt8(ascii: "n") { nullParams = true } else { note(.invalidParams, at: start) }
            }
        case .result:
            envelope.result = try lexer.value(text, depth: 1)
        default:
            envelope.error = try lexer.value(text, depth: 1)
            if first != UInt8(ascii: "{") { note(.invalidMember, at: start) }
        }
    }

    private mutating func topKey(_ token: StringToken, _ text: RawSpan) -> TopKeys? {
        if token.hasEscapes {
            let plain = JSONString.unescaped(token.content, in: text)
            return topKey(0..<plain.count, plain.span.bytes, at: token.span.start)
        }
        return topKey(token.content, text, at: token.span.start)
    }

    private mutating func topKey(_ range: Range<Int>, _ text: RawSpan, at offset: Int) -> TopKeys? {
        if text.matches(range, "jsonrpc") { return .jsonrpc }
        if text.matches(range, "id") { return .id }
        if text.matches(range, "method") { return .method }
        if text.matches(range, "params") { return .params }
        if text.matches(range, "result") { return .result }
        if text.matches(range, "error") { return .error }
        for key in ["jsonrpc", "id", "method", "params", "result", "error"] as [StaticString] where text.matchesFolded(range, key) {
            note(.lookalikeKey, at: offset)
        }
        return nil
    }

    /// Consumes a value; its span when it is a string or an integer.
    mutating func identifier(_ text: RawSpan, depth: Int) throws(ScanError) -> JSONSpan? {
        let start = lexer.position
        switch text.byte(start) {
        case UInt8(ascii: "\""):
            return try lexer.string(text).span
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return try lexer.number(text) ? JSONSpan(start: start, end: lexer.position) : nil
        default:
            _ = try lexer.value(text, depth: depth)
            return nil
        }
    }

    /// Consumes a value; its token when it is a string.
    mutating func string(_ text: RawSpan, depth: Int) throws(ScanError) -> StringToken? {
        if text.byte(lexer.position) == UInt8(ascii: "\"") { return try lexer.string(text) }
        _ = try lexer.value(text, depth: depth)
        return nil
    }

    /// Consumes a value; its span when it is an object.
    mutating func object(_ text: RawSpan, depth: Int) throws(ScanError) -> JSONSpan? {
        let isObject = text.byte(lexer.position) == UInt8(ascii: "{")
        let span = try lexer.value(text, depth: depth)
        return isObject ? span : nil
    }
}
