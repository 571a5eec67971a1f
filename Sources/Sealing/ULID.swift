/// A ULID: 48 bits of time and 80 random bits, 26 characters that sort by time. Boot ids, events, instance ids.
public struct ULID: Hashable, Sendable, CustomStringConvertible {
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

    /// The 26 characters.
    public let description: String

    /// A new one, for `milliseconds` since 1970.
    public init(milliseconds: Int64 = WallClock.milliseconds()) {
        // Names, not secrets: the standard library's generator (getrandom) does.
        let high = UInt64.random(in: 0...0xFFFF)
        let low = UInt64.random(in: .min ... .max)
        let time = UInt64(clamping: milliseconds) & 0xFFFF_FFFF_FFFF
        description = String(unsafeUninitializedCapacity: 26) { output in
            for index in 0..<10 { output[index] = Self.alphabet[Int(time >> UInt64(45 - 5 * index) & 31)] }
            // 80 bits as 16 groups of five, most significant first.
            for index in 0..<16 {
                let shift = 75 - 5 * index
                let group: UInt64
                if shift >= 64 {
                    group = high >> UInt64(shift - 64)
                } else if shift > 59 {
                    group = low >> UInt64(shift) | high << UInt64(64 - shift)
                } else {
                    group = low >> UInt64(shift)
                }
                output[10 + index] = Self.alphabet[Int(group & 31)]
            }
            return 26
        }
    }

    /// `text` when it is a ULID in its canonical upper-case form.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 26, bytes[0] <= UInt8(ascii: "7"), bytes.allSatisfy(Self.alphabet.contains) else { return nil }
        description = text
    }
}
