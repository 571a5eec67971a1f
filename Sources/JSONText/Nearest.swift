/// The closest of some known names, for "did you mean".
public enum Nearest {
    /// - Returns: the candidate within two edits (one for names under five characters; what is under three must be
    ///   its beginning), or nil.
    public static func name(to word: String, among candidates: [String]) -> String? {
        let limit = word.count < 5 ? 1 : 2
        guard word.count <= 64 else { return nil }
        guard word.count > 2 else { return candidates.first { $0.count == word.count + 1 && $0.hasPrefix(word) } }
        return candidates.map { ($0, distance(Array(word), Array($0))) }.filter { $0.1 <= limit }.min { $0.1 < $1.1 }?.0
    }

    /// Edits (insert, delete, replace) from one word to the other.
    static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let replaced = diagonal + (a == b ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}
