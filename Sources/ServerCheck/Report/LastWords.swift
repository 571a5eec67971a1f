/// What a program that failed wrote last, of which a line has room for little. Pure.
public enum LastWords {
    /// A reason, and under it what was written last, in one line.
    public static func line(of text: String) -> String {
        let lines = text.split(whereSeparator: \.isNewline).map(String.init)
        let words = telling(Array(lines.dropFirst()))
        return (lines.first ?? "no reason given") + (words.isEmpty ? "" : "; its last words: " + words)
    }

    /// Of which the line that is made of them, with its reason, is read whole.
    private static let longest = 700

    /// The lines that tell what went wrong: a traceback from its last place on, what an error's own line begins, else the last three.
    private static func telling(_ lines: [String]) -> String {
        let lines = lines.map { String($0.drop { $0 == " " }) }.filter { !$0.isEmpty }
        let recent = lines.suffix(8)
        if let place = recent.lastIndex(where: { $0.hasPrefix("File \"") }) { return ending(Array(recent[place...])) }
        if let error = recent.firstIndex(where: { $0.lowercased().hasPrefix("error") }) {
            return Excerpt.of(recent[error...].prefix(3).joined(separator: separator), longest)
        }
        return ending(lines.suffix(3))
    }

    private static let separator = " | "

    /// What there is no room for is at the front: the cause comes last.
    private static func ending(_ lines: [String]) -> String {
        var text = Excerpt.of(lines.last ?? "", longest)
        for line in lines.dropLast().reversed() {
            guard line.count + separator.count + text.count <= longest else { break }
            text = line + separator + text
        }
        return text
    }
}
