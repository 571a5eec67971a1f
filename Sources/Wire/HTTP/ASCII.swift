/// Byte classes of RFC 9110 and comparisons that allocate nothing.
enum ASCII {
    static let cr = UInt8(ascii: "\r")
    static let lf = UInt8(ascii: "\n")
    static let colon = UInt8(ascii: ":")
    static let space = UInt8(ascii: " ")
    static let tab = UInt8(ascii: "\t")

    @inline(__always)
    static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        // One bit per ASCII byte: ! # $ % & ' * + - . 0-9 A-Z ^ _ ` a-z | ~
        let low: UInt64 = 0x03FF_6CFA_0000_0000
        let high: UInt64 = 0x57FF_FFFF_C7FF_FFFE
        if byte < 64 { return low & (1 << UInt64(byte)) != 0 }
        if byte < 128 { return high & (1 << UInt64(byte - 64)) != 0 }
        return false
    }

    /// Printable, space, tab, or above ASCII.
    @inline(__always)
    static func isFieldValue(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F || byte == tab }

    /// Whether all bytes may stand in a field's value.
    static func areFieldValue(_ bytes: String.UTF8View) -> Bool {
        bytes.withContiguousStorageIfAvailable(areFieldValue) ?? bytes.allSatisfy(isFieldValue)
    }

    /// Looks at every byte, without a way out in between: so it is done many bytes at a time.
    private static func areFieldValue(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var bad: UInt8 = 0
        for byte in bytes { bad |= (byte < 0x20 && byte != tab) || byte == 0x7F ? 1 : 0 }
        return bad == 0
    }

    /// Visible ASCII, what a request target is made of.
    @inline(__always)
    static func isVisible(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7F }

    @inline(__always)
    static func lower(_ byte: UInt8) -> UInt8 { byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte }

    /// Whether a header's name is `text`, in any letter case.
    static func equal(_ name: String, _ text: String) -> Bool {
        name == text || name.utf8.withContiguousStorageIfAvailable { equal(UnsafeRawBufferPointer($0), text) } ?? (name.lowercased() == text)
    }

    /// Whether white space stands after a header's value.
    static func endsBlank(_ value: String) -> Bool {
        value.utf8.withContiguousStorageIfAvailable { $0.last.map(isBlank) ?? false } ?? (value.utf8.last.map(isBlank) ?? false)
    }

    /// Case-insensitive.
    static func equal(_ bytes: UnsafeRawBufferPointer, _ text: String) -> Bool {
        var text = text
        return text.withUTF8 { other in
            guard other.count == bytes.count else { return false }
            for index in 0..<bytes.count where lower(bytes[index]) != lower(other[index]) { return false }
            return true
        }
    }

    /// Without spaces and tabs at either end.
    static func trim(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var start = bytes.startIndex
        var end = bytes.endIndex
        while start < end, isBlank(bytes[start]) { start += 1 }
        while end > start, isBlank(bytes[end - 1]) { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }

    /// A decimal number of at most 18 digits and nothing else.
    static func decimal(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard (1...18).contains(bytes.count) else { return nil }
        var value = 0
        for byte in bytes {
            guard isDigit(byte) else { return nil }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return value
    }

    static func hexDigit(_ byte: UInt8) -> Int? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): Int(byte - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): Int(byte - UInt8(ascii: "A")) + 10
        default: nil
        }
    }
}
