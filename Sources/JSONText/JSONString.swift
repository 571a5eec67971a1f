/// String literals: between JSON's escapes and Swift's strings.
public enum JSONString {
    /// The literal for `string`, with quotes. Escapes only what RFC 8259 requires.
    public static func quote(_ string: String) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(string.utf8.count + 2)
        append(string, to: &out)
        return out
    }

    /// Appends the literal for `string`, with quotes.
    public static func append(_ string: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        appendContent(string, to: &out)
        out.append(UInt8(ascii: "\""))
    }

    /// Appends what stands between the quotes of the literal for `string`. Runs without escapes are copied whole.
    public static func appendContent(_ string: String, to out: inout [UInt8]) {
        var string = string
        string.withUTF8 { bytes in
            var run = 0
            for index in bytes.indices {
                let byte = bytes[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                out.append(contentsOf: bytes[run..<index])
                run = index + 1
                out.append(UInt8(ascii: "\\"))
                switch byte {
                case 0x0A: out.append(UInt8(ascii: "n"))
                case 0x0D: out.append(UInt8(ascii: "r"))
                case 0x09: out.append(UInt8(ascii: "t"))
                case 0..<0x20:
                    out.append(contentsOf: byte < 0x10 ? "u000".utf8 : "u001".utf8)
                    out.append(byte & 15 < 10 ? UInt8(ascii: "0") + (byte & 15) : UInt8(ascii: "a") + (byte & 15) - 10)
                default: out.append(byte)
                }
            }
            out.append(contentsOf: bytes[run...])
        }
    }

    /// The string that the literal at `span` (quotes included) stands for; `nil` when it is not a valid literal.
    public static func unquote(_ span: JSONSpan, in text: RawSpan) -> String? {
        guard span.start >= 0, span.end <= text.byteCount, span.count >= 2, text.byte(span.start) == UInt8(ascii: "\"") else { return nil }
        var lexer = JSONLexer(position: span.start)
        do {
            let token = try lexer.string(text)
            guard token.span == span, lexer.loneSurrogate == nil else { return nil }
            return string(token, text)
        } catch {
            return nil
        }
    }

    /// The text of a token that the lexer accepted. A lone surrogate becomes U+FFFD; the lexer has noted it.
    static func string(_ token: StringToken, _ text: RawSpan) -> String {
        guard token.hasEscapes else {
            return text.extracting(token.content).withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        }
        return String(decoding: unescaped(token.content, in: text), as: UTF8.self)
    }

    /// The bytes that the inside of a literal stands for. Lenient, for texts that were not scanned: what is no escape of
    /// JSON's is copied, and half a surrogate pair becomes U+FFFD.
    public static func unescaped(_ content: Range<Int>, in text: RawSpan) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(content.count)
        var position = content.lowerBound
        let end = content.upperBound
        while position < end {
            let byte = text.byte(position)
            position += 1
            guard byte == UInt8(ascii: "\\"), position < end else {
                out.append(byte)
                continue
            }
            let code = text.byte(position)
            position += 1
            switch code {
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0C)
            case UInt8(ascii: "n"): out.append(0x0A)
            case UInt8(ascii: "r"): out.append(0x0D)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "u"): out.append(contentsOf: scalar(&position, end, text).utf8)
            default: out.append(code)
            }
        }
        return out
    }

    /// The scalar whose hex digits begin at `position`, the second half of a pair included.
    private static func scalar(_ position: inout Int, _ end: Int, _ text: RawSpan) -> Unicode.Scalar {
        guard var value = unit(position, end, text) else {
            position = min(position + 4, end)
            return "\u{FFFD}"
        }
        position += 4
        if value & 0xFC00 == 0xD800, position + 2 <= end, text.byte(position) == UInt8(ascii: "\\"), text.byte(position + 1) == UInt8(ascii: "u"),
            let low = unit(position + 2, end, text), low & 0xFC00 == 0xDC00
        {
            value = 0x10000 + (value & 0x3FF) << 10 + low & 0x3FF
            position += 6
        }
        return Unicode.Scalar(value) ?? "\u{FFFD}"
    }

    private static func unit(_ position: Int, _ end: Int, _ text: RawSpan) -> UInt32? {
        guard position + 4 <= end else { return nil }
        var unit: UInt32 = 0
        for index in 0..<4 {
            guard let digit = hexDigit(text.byte(position + index)) else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }
}
