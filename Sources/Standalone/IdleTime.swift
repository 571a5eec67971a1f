/// A length of time as options take it: `30s`, `15m`, `2h`, or seconds.
public enum IdleTime {
    private static let longest: Int64 = 7 * 24 * 3600

    /// - Returns: seconds, from 1 to a week; nil for everything else.
    public static func seconds(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text[...] : text.dropLast()
        guard !digits.isEmpty, digits.utf8.count <= 9, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int64(digits)
        else { return nil }
        let seconds = number * (unit ?? 1)
        return (1...longest).contains(seconds) ? seconds : nil
    }
}
