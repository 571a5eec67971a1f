/// A command that takes a server's command behind `--`.
package struct ServerCommand: Sendable {
    /// As it is typed, without the program: `connector add`.
    var name: String
    /// How many words of its own come first.
    var words: Int
    /// Its options without a value.
    var flags: Set<String>

    /// - Parameters:
    ///   - words: how many words of its own come before the `--`.
    ///   - flags: its options that take no value, besides `--json`.
    package init(_ name: String, words: Int = 0, flags: [String] = []) {
        self.name = name
        self.words = words
        self.flags = Set(flags + ["--json"])
    }
}
