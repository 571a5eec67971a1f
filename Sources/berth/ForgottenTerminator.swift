import ArgumentParser

/// A server's command that was typed without the `--` before it: the parser speaks of its words as if they were ours.
enum ForgottenTerminator {
    /// - Parameter message: The parser's.
    static func hint(_ message: String, _ arguments: [String] = Array(CommandLine.arguments.dropFirst())) -> String? {
        let path = CommandPath.current
        if path == "berth call", message.contains("nexpected argument") {
            return "a tool's arguments are one JSON object: '{\"timezone\": \"UTC\"}'"
        }
        // How many words of its own the command takes.
        let own = ["berth bridge": 0, "berth connector add": 1, "berth connector update": 1]
        guard let own = own[path], !arguments.contains("--") else { return nil }
        let words = arguments.dropFirst(path.split(separator: " ").count - 1)
        let example = "put the server's command after --: \(path)\(own == 1 ? " NAME …" : "") -- python3 server.py"
        if message.contains("nexpected argument") { return example }
        // The command's own options are unknown to us: is one of its words before them?
        guard let option = message.split(separator: "'").dropFirst().first, message.hasPrefix("Unknown option"),
            let end = words.firstIndex(where: { $0 == option || $0.hasPrefix(option + "=") })
        else { return nil }
        return strays(words[..<end]) > own ? example : nil
    }

    /// Words that are neither options nor their values.
    private static func strays(_ words: ArraySlice<String>) -> Int {
        let flags: Set = [
            "--json", "--reset", "--no-args", "--no-constraints", "--watch", "--log-json", "--trace", "--trace-bodies", "--exit-on-crash",
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
