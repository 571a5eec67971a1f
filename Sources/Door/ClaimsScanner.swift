import JSONText

/// Reads the payload of a token whose signature holds: one flat JSON object of strings, integers and literals. Strict:
/// a repeated claim, a nested value, a fraction, bad UTF-8 or trailing bytes make it malformed.
struct ClaimsScanner {
    /// A member's name: its bytes packed, 0 for one that is no claim (they all have three letters).
    typealias Name = UInt32

    enum Value {
        /// Bytes between the quotes, which hold no escape.
        case raw(UnsafeRawBufferPointer)
        case text(String)
        case number(Int64)
        case literal

        var string: String? {
            switch self {
            case .raw(let bytes): String(validating: bytes, as: UTF8.self)
            case .text(let text): text
            case .number, .literal: nil
            }
        }

        func equals(_ expected: [UInt8]) -> Bool {
            switch self {
            case .raw(let bytes): bytes.elementsEqual(expected)
            case .text(let text): text.utf8.elementsEqual(expected)
            case .number, .literal: false
            }
        }
    }

    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    private var opened = false

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    enum Step {
        case member(Name, Value)
        case end
        case malformed
    }

    static func name(_ text: StaticString) -> Name {
        Name(text.utf8Start[0]) << 16 | Name(text.utf8Start[1]) << 8 | Name(text.utf8Start[2])
    }

    /// The next member.
    mutating func next() -> Step {
        skipSpace()
        if !opened {
            opened = true
            guard take("{") else { return .malformed }
            skipSpace()
            if take("}") { return end() }
        } else if take("}") {
            return end()
        } else if !take(",") {
            return .malformed
        }
        skipSpace()
        guard let name = string() else { return .malformed }
        skipSpace()
        guard take(":") else { return .malformed }
        skipSpace()
        guard let value = value() else { return .malformed }
        switch name {
        case .raw(let bytes) where bytes.count == 3:
            return .member(Name(bytes[0]) << 16 | Name(bytes[1]) << 8 | Name(bytes[2]), value)
        case .text(let text) where text.utf8.count == 3:
            return .member(text.utf8.reduce(0) { $0 << 8 | Name($1) }, value)
        case .raw, .text, .number, .literal: return .member(0, value)
        }
    }

    private mutating func end() -> Step {
        skipSpace()
        return at == bytes.count ? .end : .malformed
    }

    private mutating func value() -> Value? {
        guard at < bytes.count else { return nil }
        switch bytes[at] {
        case UInt8(ascii: "\""): return string()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return integer().map(Value.number)
        default:
            for literal in ["true", "false", "null"] as [StaticString] where take(literal) { return .literal }
            return nil
        }
    }

    private mutating func integer() -> Int64? {
        let negative = take("-")
        let start = at
        var value: Int64 = 0
        while at < bytes.count, bytes[at] >= UInt8(ascii: "0"), bytes[at] <= UInt8(ascii: "9") {
            // 15 digits are beyond every time and never overflow.
            guard at - start < 15 else { return nil }
            value = value * 10 + Int64(bytes[at] - UInt8(ascii: "0"))
            at += 1
        }
        let digits = at - start
        guard digits > 0, digits == 1 || bytes[start] != UInt8(ascii: "0") else { return nil }
        return negative ? -value : value
    }

    private mutating func string() -> Value? {
        guard take("\"") else { return nil }
        let start = at
        while at < bytes.count {
            switch bytes[at] {
            case UInt8(ascii: "\""):
                let content = UnsafeRawBufferPointer(rebasing: bytes[start..<at])
                at += 1
                return .raw(content)
            case UInt8(ascii: "\\"): return escaped(from: start - 1).map(Value.text)
            case 0..<0x20: return nil
            default: at += 1
            }
        }
        return nil
    }

    /// A string that holds escapes, from its opening quote on.
    private mutating func escaped(from quote: Int) -> String? {
        while at < bytes.count, bytes[at] != UInt8(ascii: "\"") { at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1 }
        at += 1
        return JSONString.unquote(JSONSpan(start: quote, end: at), in: bytes.bytes)
    }

    private mutating func skipSpace() {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x09 || bytes[at] == 0x0A || bytes[at] == 0x0D { at += 1 }
    }

    private mutating func take(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard at + count <= bytes.count else { return false }
        for index in 0..<count where bytes[at + index] != text.utf8Start[index] { return false }
        at += count
        return true
    }
}
