/// Names that nobody can guess.
public enum RandomID {
    /// 128 bits of the kernel's, as 32 hexadecimal digits.
    public static func hex128() -> String {
        var random = SystemRandomNumberGenerator()
        return (0..<2).map { _ in
            let digits = String(random.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }
}
