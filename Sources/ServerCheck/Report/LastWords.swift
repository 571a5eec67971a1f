/// What a program that failed wrote last, of which a line has room for little. Pure.
public enum LastWords {
    /// A reason, and under it what was written last, in one line.
    public static func line(of text: String) -> String {
        let lines = text.split(whereSeparator: \.isNewline).map(String.init)
        let words = telling(Array(lines.dropFirst()))
        return (lines.first ?? "no reason given") + (words.isEmpty ? "" : "; its last words: " + words.joined(separator: " | "))
    }

    /// The lines that tell what went wrong: a traceback from its last place on, what an error's own line begins, else the last three.
    static func telling(_ lines: [String]) -> [String] {
        let lines = lines.map { String($0.drop { $0 == " " }) }.filter { !$0.isEmpty }
        let recent = lines.suffix(8)
        if let place = recent.lastIndex(where: { $0.hasPrefix("File \"") }) { return Array(recent[place...].prefix(5)) }
        if let error = recent.firstIndex(where: { $0.lowercased().hasPrefix("error") }) { return Array(recent[error...].prefix(3)) }
        return lines.suffix(3)
    }
}
