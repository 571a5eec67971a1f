/// Text of others on its way to a terminal.
package enum Printable {
    /// Without control characters, which could move the cursor or rewrite what was printed; line ends and tabs stay.
    package static func text(_ text: String) -> String { filtered(text) { $0 == 9 || $0 == 10 } }

    /// The same in one line, and not longer than a person reads.
    package static func line(_ text: String) -> String {
        let flat = text.contains("\n") ? text.split(whereSeparator: \.isNewline).joined(separator: " ") : text
        return String(filtered(flat) { _ in false }.prefix(1_000))
    }

    private static func filtered(_ text: String, keeps: (UInt32) -> Bool) -> String {
        func isControl(_ scalar: Unicode.Scalar) -> Bool {
            let value = scalar.value
            let isDirection = (0x202A...0x202E).contains(value) || (0x2066...0x2069).contains(value)
            return (value < 0x20 || (0x7F...0x9F).contains(value) || isDirection) && !keeps(value)
        }
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
        return String(result)
    }
}
