import JSONText

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

/// Sentences of other parts, fitted into a line of ours.
package enum Sentence {
    /// Without its capital, unless the first word is a name.
    package static func asClause(_ text: String) -> String {
        guard let first = text.first, first.isUppercase, text.hasPrefix("A ") || text.dropFirst().first?.isLowercase == true else { return text }
        // "K is given twice": a variable's name, which is not ours to change.
        if text.split(separator: " ", maxSplits: 2).dropFirst().first == "is" { return text }
        return first.lowercased() + text.dropFirst()
    }
}

extension String {
    package var trimmed: String { String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()) }
    package func padded(to width: Int) -> String { count < width ? self + String(repeating: " ", count: width - count) : self }
}

/// A number and what it counts.
package enum Count {
    package static func text(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}

/// "did you mean"
package enum Suggestion {
    package static func text(for word: String, among names: [String]) -> String? {
        Nearest.name(to: word, among: names).map { "did you mean '\($0)'?" }
    }
}
