import JSONText

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
    /// Without white space at its ends.
    package var trimmed: String { String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed()) }
    /// With blanks behind it, for a column of that width; never shorter than it is.
    package func padded(to width: Int) -> String { count < width ? self + String(repeating: " ", count: width - count) : self }
}

/// "did you mean"
package enum Suggestion {
    /// A remedy with the name that was probably meant; nil when none is near.
    package static func text(for word: String, among names: [String]) -> String? {
        Nearest.name(to: word, among: names).map { "did you mean '\($0)'?" }
    }
}
