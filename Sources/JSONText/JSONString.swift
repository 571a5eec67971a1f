/// String literals: between JSON's escapes and Swift's strings.
public enum JSONString {
    /// The literal for `string`, with quotes. Escapes only what RFC 8259 requires.
    public static func quote(_ string: String) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(string.utf8.count + 2)
        append(string, to: &out)
        return out
    }

    static func append(_ string: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                out.append(UInt8(ascii: "\\"))
                out.append(byte)
            case 0x0A: out += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case 0x0D: out += [UInt8(ascii: "\\"), UInt8(ascii: "r")]
            case 0x09: out += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                out += Array("\\u00".utf8)
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 0xF)])
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
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
        return String(decoding: unescaped(token, text), as: UTF8.self)
    }

    static func unescaped(_ token: StringToken, _ text: RawSpan) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(token.content.count)
        var position = token.content.lowerBound
        let end = token.content.upperBound
        while position < end {
            let byte = text.byte(position)
            guard byte == UInt8(ascii: "\\") else {
                out.append(byte)
                position += 1
                continue
            }
            let code = text.byte(position + 1)
            position += 2
            switch code {
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0C)
            case UInt8(ascii: "n"): out.append(0x0A)
            case UInt8(ascii: "r"): out.append(0x0D)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "u"):
                var scalar = unit(position, text)
                position += 4
                if scalar & 0xFC00 == 0xD800, position + 6 <= end, text.byte(position) == UInt8(ascii: "\\") {
                    let low = unit(position + 2, text)
                    if low & 0xFC00 == 0xDC00 {
                        scalar = 0x10000 + (scalar & 0x3FF) << 10 + low & 0x3FF
                        position += 6
                    }
                }
                out += Array(String(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8)
            default: out.append(code)
            }
        }
        return out
    }

    private static func unit(_ position: Int, _ text: RawSpan) -> UInt32 {
        var unit: UInt32 = 0
        for index in 0..<4 { unit = unit << 4 | UInt32(hexDigit(text.byte(position + index)) ?? 0) }
        return unit
    }
}
