/// Base64 with the URL alphabet and no padding (RFC 4648 §5), strict when decoding.
public enum Base64URL {
    static let alphabet: [UInt8] = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    static let values: [UInt8] = {
        var table = [UInt8](repeating: 0xFF, count: 256)
        for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
        return table
    }()

    /// Whether `byte` is in the alphabet.
    public static func isCharacter(_ byte: UInt8) -> Bool { values[Int(byte)] != 0xFF }

    /// Characters for `count` bytes.
    public static func encodedCount(_ count: Int) -> Int { (count * 4 + 2) / 3 }

    /// Encodes into `output`, which holds at least `encodedCount(input.count)` bytes; returns how many were written.
    @discardableResult
    public static func encode(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int {
        alphabet.withUnsafeBufferPointer { table in
            var from = 0
            var to = 0
            while from + 2 < input.count {
                let word = Int(input[from]) << 16 | Int(input[from + 1]) << 8 | Int(input[from + 2])
                output[to] = table[word >> 18]
                output[to + 1] = table[word >> 12 & 63]
                output[to + 2] = table[word >> 6 & 63]
                output[to + 3] = table[word & 63]
                from += 3
                to += 4
            }
            if from + 1 == input.count {
                let word = Int(input[from]) << 16
                output[to] = table[word >> 18]
                output[to + 1] = table[word >> 12 & 63]
                to += 2
            } else if from + 2 == input.count {
                let word = Int(input[from]) << 16 | Int(input[from + 1]) << 8
                output[to] = table[word >> 18]
                output[to + 1] = table[word >> 12 & 63]
                output[to + 2] = table[word >> 6 & 63]
                to += 3
            }
            return to
        }
    }

    /// `bytes` as text.
    public static func encode(_ bytes: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: encodedCount(bytes.count)) { output in
            bytes.withUnsafeBytes { encode($0, into: UnsafeMutableRawBufferPointer(output)) }
        }
    }

    /// Decodes into `output`, which holds at least `input.count * 3 / 4` bytes; returns how many were written, or nil
    /// for anything but the one canonical form (no padding, no foreign character, no stray low bits).
    public static func decode(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        guard input.count % 4 != 1, output.count >= input.count * 3 / 4 else { return nil }
        return values.withUnsafeBufferPointer { table in
            var from = 0
            var to = 0
            var bad: UInt8 = 0
            while from + 3 < input.count {
                let a = table[Int(input[from])]
                let b = table[Int(input[from + 1])]
                let c = table[Int(input[from + 2])]
                let d = table[Int(input[from + 3])]
                bad |= a | b | c | d
                let word = Int(a & 63) << 18 | Int(b & 63) << 12 | Int(c & 63) << 6 | Int(d & 63)
                output[to] = UInt8(truncatingIfNeeded: word >> 16)
                output[to + 1] = UInt8(truncatingIfNeeded: word >> 8)
                output[to + 2] = UInt8(truncatingIfNeeded: word)
                from += 4
                to += 3
            }
            let rest = input.count - from
            if rest >= 2 {
                let a = table[Int(input[from])]
                let b = table[Int(input[from + 1])]
                bad |= a | b
                output[to] = (a & 63) << 2 | (b & 63) >> 4
                to += 1
                if rest == 3 {
                    let c = table[Int(input[from + 2])]
                    bad |= c
                    output[to] = (b & 15) << 4 | (c & 63) >> 2
                    to += 1
                    if c & 3 != 0 { return nil }
                } else if b & 15 != 0 {
                    return nil
                }
            }
            // Every foreign character has its high bit set in the table.
            return bad & 0x80 == 0 ? to : nil
        }
    }

    /// The bytes of `text`, or nil when it is not canonical.
    public static func decode(_ text: String) -> [UInt8]? {
        var text = text
        return text.withUTF8 { input in
            var valid = true
            let bytes = [UInt8](unsafeUninitializedCapacity: input.count * 3 / 4 + 1) { output, count in
                if let written = decode(UnsafeRawBufferPointer(input), into: UnsafeMutableRawBufferPointer(output)) {
                    count = written
                } else {
                    valid = false
                }
            }
            return valid ? bytes : nil
        }
    }
}

/// Lower-case hexadecimal.
public enum Hex {
    /// `bytes` as text.
    public static func encode(_ bytes: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: bytes.count * 2) { output in
            for index in bytes.indices {
                output[index * 2] = digit(bytes[index] >> 4)
                output[index * 2 + 1] = digit(bytes[index] & 15)
            }
            return bytes.count * 2
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") - 10 + value }

    /// The bytes of `text`, or nil when it is not lower-case hex of even length.
    public static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count / 2)
        var high: UInt8?
        for character in text.utf8 {
            let value: UInt8
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = character - UInt8(ascii: "a") + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return high == nil ? bytes : nil
    }
}
