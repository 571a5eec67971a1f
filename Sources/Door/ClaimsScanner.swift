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
            case UInt8(ascii: "\\"): return escaped(from: start).map(Value.text)
            case 0..<0x20: return nil
            default: at += 1
            }
        }
        return nil
    }

    /// The rest of a string that holds escapes.
    private mutating func escaped(from start: Int) -> String? {
        var text = Array(bytes[start..<at])
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            switch byte {
            case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
            case 0..<0x20: return nil
            case UInt8(ascii: "\\"):
                guard at < bytes.count else { return nil }
                let kind = bytes[at]
                at += 1
                switch kind {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(kind)
                case UInt8(ascii: "b"): text.append(0x08)
                case UInt8(ascii: "f"): text.append(0x0C)
                case UInt8(ascii: "n"): text.append(0x0A)
                case UInt8(ascii: "r"): text.append(0x0D)
                case UInt8(ascii: "t"): text.append(0x09)
                case UInt8(ascii: "u"):
                    guard let scalar = unicodeEscape() else { return nil }
                    text.append(contentsOf: String(Character(scalar)).utf8)
                default: return nil
                }
            default: text.append(byte)
            }
        }
        return nil
    }

    private mutating func unicodeEscape() -> Unicode.Scalar? {
        guard let first = hexQuad() else { return nil }
        guard first >= 0xD800, first < 0xE000 else { return Unicode.Scalar(first) }
        guard first < 0xDC00, take("\\u"), let second = hexQuad(), second >= 0xDC00, second < 0xE000 else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    }

    private mutating func hexQuad() -> UInt32? {
        guard at + 4 <= bytes.count else { return nil }
        var value: UInt32 = 0
        for _ in 0..<4 {
            let digit = bytes[at]
            at += 1
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(digit - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(digit - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return value
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
