/// The values of `Mcp-Name`: plain, or `=?base64?…?=` where a name does not survive an HTTP field.
public enum HeaderValue {
    private static let prefix = "=?base64?"
    private static let suffix = "?="

    /// The name a header value stands for; `nil` when it looks encoded and is not, so that it matches no name.
    static func decode(_ value: String) -> String? {
        let units = Array(value.utf8)
        guard value.hasPrefix(prefix), value.hasSuffix(suffix), units.count >= prefix.utf8.count + suffix.utf8.count else { return value }
        guard let bytes = base64(units[prefix.utf8.count..<(units.count - suffix.utf8.count)]) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The header value for a name.
    public static func encode(_ name: String) -> String {
        let units = Array(name.utf8)
        let isPlain = units.allSatisfy { (0x20...0x7E).contains($0) } && units.first != 0x20 && units.last != 0x20
        guard !isPlain || name.hasPrefix(prefix) else { return name }
        return prefix + base64Text(units) + suffix
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private static func base64Text(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let value = (0..<3).reduce(UInt32(0)) { $0 << 8 | UInt32($1 < group.count ? group[start + $1] : 0) }
            for place in 0..<4 {
                out.append(place <= group.count ? alphabet[Int(value >> UInt32(18 - 6 * place) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Standard alphabet, padded, canonical: there is exactly one text for each value.
    public static func base64(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        let padding = text.reversed().prefix(2).prefix { $0 == UInt8(ascii: "=") }.count
        var out: [UInt8] = []
        out.reserveCapacity(text.count / 4 * 3)
        var accumulator: UInt32 = 0
        var bits = 0
        for byte in text.dropLast(padding) {
            guard let value = sextet(byte) else { return nil }
            accumulator = accumulator << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: accumulator >> UInt32(bits)))
            }
        }
        let rest = accumulator & ((1 << UInt32(bits)) - 1)
        return rest == 0 ? out : nil
    }

    private static func sextet(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}

/// What an `Accept` header allows.
struct AcceptHeader {
    let json: Bool
    let eventStream: Bool

    init(_ value: String?) {
        var (json, eventStream) = (false, false)
        for range in (value ?? "").split(separator: ",") {
            let type = range.prefix { $0 != ";" }.trimmed().lowercased()
            if type == "*/*" || type == "application/*" || type == "application/json" { json = true }
            if type == "*/*" || type == "text/*" || type == "text/event-stream" { eventStream = true }
        }
        (self.json, self.eventStream) = (json, eventStream)
    }
}

extension Substring {
    func trimmed() -> Substring {
        var text = self
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
