extension JSONLexer {
    /// Consumes a string; `position` is at its opening quote.
    mutating func string(_ text: RawSpan) throws(ScanError) -> StringToken {
        let start = position
        position += 1
        var hasEscapes = false
        while true {
            skipPlain(text)
            guard position < text.byteCount else { throw ScanError(.unexpectedEnd, at: position) }
            let byte = text.byte(position)
            if byte == UInt8(ascii: "\"") {
                position += 1
                return StringToken(span: JSONSpan(start: start, end: position), hasEscapes: hasEscapes)
            }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                try escape(text)
            } else if byte >= 0x80 {
                try multibyte(text)
            } else {
                throw ScanError(.controlCharacter, at: position)
            }
        }
    }

    /// Moves to the next byte that needs a look: quote, backslash, control character, or beyond ASCII. Eight bytes at a time.
    @inline(__always)
    private mutating func skipPlain(_ text: RawSpan) {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        while position &+ 8 <= text.byteCount {
            let word = UInt64(littleEndian: text.unsafeLoadUnaligned(fromByteOffset: position, as: UInt64.self))
            let quote = word ^ (ones &* 0x22)
            let backslash = word ^ (ones &* 0x5C)
            // A borrow can only mark bytes above a true hit, so the lowest mark is exact.
            let hits =
                ((quote &- ones) & ~quote | (backslash &- ones) & ~backslash | (word &- (ones &* 0x20)) & ~word | word) & highs
            if hits != 0 {
                position &+= hits.trailingZeroBitCount >> 3
                return
            }
            position &+= 8
        }
        while position < text.byteCount {
            let byte = text.byte(position)
            if byte == 0x22 || byte == 0x5C || byte < 0x20 || byte >= 0x80 { return }
            position += 1
        }
    }

    private mutating func escape(_ text: RawSpan) throws(ScanError) {
        let start = position
        position += 1
        guard position < text.byteCount else { throw ScanError(.unexpectedEnd, at: position) }
        switch text.byte(position) {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"),
            UInt8(ascii: "t"):
            position += 1
        case UInt8(ascii: "u"):
            position += 1
            let unit = try hexUnit(text)
            if unit & 0xF800 == 0xD800 {
                try surrogate(unit, start: start, text)
            }
        default:
            throw ScanError(.invalidEscape, at: start)
        }
    }

    private mutating func surrogate(_ high: UInt16, start: Int, _ text: RawSpan) throws(ScanError) {
        let pairFollows =
            high & 0xFC00 == 0xD800 && position + 1 < text.byteCount && text.byte(position) == UInt8(ascii: "\\")
            && text.byte(position + 1) == UInt8(ascii: "u")
        guard pairFollows else {
            loneSurrogate = loneSurrogate ?? start
            return
        }
        let resume = position
        position += 2
        if try hexUnit(text) & 0xFC00 != 0xDC00 {
            loneSurrogate = loneSurrogate ?? start
            // The second escape stands for itself and is read again.
            position = resume
        }
    }

    private mutating func hexUnit(_ text: RawSpan) throws(ScanError) -> UInt16 {
        guard position + 4 <= text.byteCount else { throw ScanError(.unexpectedEnd, at: text.byteCount) }
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = hexDigit(text.byte(position)) else { throw ScanError(.invalidEscape, at: position) }
            unit = unit << 4 | UInt16(digit)
            position += 1
        }
        return unit
    }

    /// One scalar beyond ASCII, by the table of well-formed sequences (Unicode 3-7): no overlong form, no surrogate, nothing above U+10FFFF.
    @inline(__always)
    private mutating func multibyte(_ text: RawSpan) throws(ScanError) {
        let lead = text.byte(position)
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        case 0xF1...0xF3: length = 4
        default: throw ScanError(.invalidUTF8, at: position)
        }
        guard position + length <= text.byteCount, second.contains(text.byte(position + 1)) else { throw ScanError(.invalidUTF8, at: position) }
        for index in 2..<max(length, 2) where text.byte(position + index) & 0xC0 != 0x80 {
            throw ScanError(.invalidUTF8, at: position)
        }
        position += length
    }
}

func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
