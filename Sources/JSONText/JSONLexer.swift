/// A string token: where it lies and whether it must be unescaped to be read.
struct StringToken {
    /// With its quotes.
    var span: JSONSpan
    var hasEscapes: Bool
    /// Without its quotes.
    var content: Range<Int> { (span.start + 1)..<(span.end - 1) }
}

/// Walks JSON text by RFC 8259, strictly, without allocating. The text is handed to each call, since a `RawSpan` cannot be stored.
struct JSONLexer {
    var position: Int
    let maximumDepth: Int
    /// The first escape of half a surrogate pair. Noted, not thrown at once, so that a message's id can still be found.
    var loneSurrogate: Int?

    init(position: Int = 0, maximumDepth: Int = 64) {
        self.position = position
        self.maximumDepth = min(maximumDepth, 64)
    }

    @inline(__always)
    mutating func skipWhitespace(_ text: RawSpan) {
        while position < text.byteCount {
            let byte = text.byte(position)
            // Everything above the space is the common case.
            if byte > 0x20 || !(byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09) { return }
            position += 1
        }
    }

    /// The next byte that is not white space, not consumed.
    @inline(__always)
    mutating func peek(_ text: RawSpan) throws(ScanError) -> UInt8 {
        skipWhitespace(text)
        guard position < text.byteCount else { throw ScanError(.unexpectedEnd, at: position) }
        return text.byte(position)
    }

    @inline(__always)
    mutating func expect(_ byte: UInt8, _ text: RawSpan) throws(ScanError) {
        guard try peek(text) == byte else { throw ScanError(.unexpectedByte, at: position) }
        position += 1
    }

    // MARK: Objects, member by member

    /// Consumes `{`; false when the object is empty, and then it is consumed whole.
    mutating func openObject(_ text: RawSpan) throws(ScanError) -> Bool {
        try expect(UInt8(ascii: "{"), text)
        if try peek(text) == UInt8(ascii: "}") {
            position += 1
            return false
        }
        return true
    }

    /// Consumes a key and its colon, up to the value's first byte.
    mutating func key(_ text: RawSpan) throws(ScanError) -> StringToken {
        guard try peek(text) == UInt8(ascii: "\"") else { throw ScanError(.unexpectedByte, at: position) }
        let key = try string(text)
        try expect(UInt8(ascii: ":"), text)
        _ = try peek(text)
        return key
    }

    /// After a member's value: true when another member follows, false when the object ended.
    mutating func moreMembers(_ text: RawSpan) throws(ScanError) -> Bool {
        try more(text, closing: UInt8(ascii: "}"))
    }

    mutating func more(_ text: RawSpan, closing: UInt8) throws(ScanError) -> Bool {
        let byte = try peek(text)
        position += 1
        if byte == UInt8(ascii: ",") { return true }
        if byte == closing { return false }
        throw ScanError(.unexpectedByte, at: position - 1)
    }

    // MARK: Values

    /// Consumes one value that lies inside `depth` containers, whatever it is.
    mutating func value(_ text: RawSpan, depth: Int) throws(ScanError) -> JSONSpan {
        _ = try peek(text)
        let start = position
        // One bit per open container: 1 = object. 64 levels fit a word, so nesting costs neither recursion nor memory.
        var containers: UInt64 = 0
        var level = 0
        while true {
            let byte = try peek(text)
            switch byte {
            case UInt8(ascii: "\""):
                _ = try string(text)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                let isObject = byte == UInt8(ascii: "{")
                level += 1
                guard depth + level <= maximumDepth else { throw ScanError(.tooDeep, at: position) }
                containers = containers << 1 | (isObject ? 1 : 0)
                position += 1
                if try peek(text) == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    position += 1
                    level -= 1
                    containers >>= 1
                } else {
                    if isObject { _ = try key(text) }
                    continue
                }
            default:
                try scalar(byte, text)
            }
            // A value ended: close what it completes, or go on to the next one.
            while level > 0 {
                let isObject = containers & 1 == 1
                if try more(text, closing: isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    if isObject { _ = try key(text) }
                    break
                }
                level -= 1
                containers >>= 1
            }
            if level == 0 { return JSONSpan(start: start, end: position) }
        }
    }

    private mutating func scalar(_ byte: UInt8, _ text: RawSpan) throws(ScanError) {
        switch byte {
        case UInt8(ascii: "t"): try literal("true", text)
        case UInt8(ascii: "f"): try literal("false", text)
        case UInt8(ascii: "n"): try literal("null", text)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): _ = try number(text)
        default: throw ScanError(.unexpectedByte, at: position)
        }
    }

    private mutating func literal(_ word: StaticString, _ text: RawSpan) throws(ScanError) {
        let end = position + word.utf8CodeUnitCount
        guard end <= text.byteCount else { throw ScanError(.unexpectedEnd, at: text.byteCount) }
        guard text.matches(position..<end, word) else { throw ScanError(.unexpectedByte, at: position) }
        position = end
    }

    /// Consumes a number; true when it is an integer literal (no fraction, no exponent).
    mutating func number(_ text: RawSpan) throws(ScanError) -> Bool {
        let start = position
        if text.byte(position) == UInt8(ascii: "-") { position += 1 }
        guard position < text.byteCount else { throw ScanError(.unexpectedEnd, at: position) }
        if text.byte(position) == UInt8(ascii: "0") {
            position += 1
        } else if digits(text) == 0 {
            throw ScanError(.invalidNumber, at: start)
        }
        var isInteger = true
        if position < text.byteCount, text.byte(position) == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            guard digits(text) > 0 else { throw ScanError(.invalidNumber, at: start) }
        }
        if position < text.byteCount, text.byte(position) | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            position += 1
            if position < text.byteCount, text.byte(position) == UInt8(ascii: "+") || text.byte(position) == UInt8(ascii: "-") { position += 1 }
            guard digits(text) > 0 else { throw ScanError(.invalidNumber, at: start) }
        }
        // "01" and "1x" end here and are refused by whoever expects a comma.
        return isInteger
    }

    private mutating func digits(_ text: RawSpan) -> Int {
        let start = position
        while position < text.byteCount, text.byte(position) &- UInt8(ascii: "0") <= 9 { position += 1 }
        return position - start
    }
}
