import ArgumentParser

/// A server's command that was typed without the `--` before it: the parser speaks of its words as if they were ours.
enum ForgottenTerminator {
    /// The commands that take a server's, and how many words of their own.
    private static let own = ["bridge": 0, "test": 0, "connector add": 1, "connector update": 1]

    /// - Parameter message: The parser's.
    static func hint(_ message: String, _ arguments: [String] = Array(CommandLine.arguments.dropFirst())) -> String? {
        let path = CommandPath.words
        let command = path.isEmpty ? Program.root.configuration.defaultSubcommand?._commandName : path.joined(separator: " ")
        if command == "call", message.contains("nexpected argument") {
            return "a tool's arguments are one JSON object: '{\"timezone\": \"UTC\"}'"
        }
        guard let own = command.flatMap({ Self.own[$0] }), !arguments.contains("--") else { return nil }
        let words = arguments.dropFirst(path.count)
        let example = example(CommandPath.current + (own == 1 ? " NAME …" : ""))
        if message.contains("nexpected argument") { return example }
        // The command's own options are unknown to us: is one of its words before them?
        guard let option = message.split(separator: "'").dropFirst().first, message.hasPrefix("Unknown option"),
            let end = words.firstIndex(where: { $0 == option || $0.hasPrefix(option + "=") })
        else { return nil }
        return strays(words[..<end]) > own ? example : nil
    }

    /// - Parameter path: what stands before the `--`.
    static func example(_ path: String) -> String { "put the server's command after --: \(path) -- python3 server.py" }

    /// Words that are neither options nor their values.
    private static func strays(_ words: ArraySlice<String>) -> Int {
        let flags: Set = [
            "--json", "--reset", "--no-args", "--no-constraints", "--watch", "--log-json", "--trace", "--trace-bodies", "--exit-on-crash", "--strict", "--write-baseline",
        ]
        var takesValue = false
        var count = 0
        for word in words {
            if word.hasPrefix("-") {
                takesValue = !flags.contains(word) && !word.contains("=")
            } else {
                if !takesValue { count += 1 }
                takesValue = false
            }
        }
        return count
    }
}
