import ArgumentParser

/// A server's command that was typed without the `--` before it: the parser speaks of its words as if they were ours.
enum ForgottenTerminator {
    /// - Parameters:
    ///   - message: The parser's.
    ///   - arguments: The command line without the program.
    static func hint(_ message: String, _ arguments: [String], under root: any RootCommand.Type) -> String? {
        let path = CommandPath.words(of: arguments, under: root)
        let command = path.isEmpty ? root.configuration.defaultSubcommand?._commandName : path.joined(separator: " ")
        if command == "call", message.contains("nexpected argument") {
            return "a tool's arguments are one JSON object: '{\"timezone\": \"UTC\"}'"
        }
        let known = AuthorCommands.serverCommands + root.serverCommands
        guard let own = known.first(where: { $0.name == command }), !arguments.contains("--") else { return nil }
        let words = arguments.dropFirst(path.count)
        let example = example(([root._commandName] + path).joined(separator: " ") + (own.words > 0 ? " NAME …" : ""))
        if message.contains("nexpected argument") { return example }
        // The command's own options are unknown to us: is one of its words before them?
        guard let option = message.split(separator: "'").dropFirst().first, message.hasPrefix("Unknown option"),
            let end = words.firstIndex(where: { $0 == option || $0.hasPrefix(option + "=") })
        else { return nil }
        return strays(words[..<end], own.flags) > own.words ? example : nil
    }

    /// - Parameter path: what stands before the `--`.
    static func example(_ path: String) -> String { "put the server's command after --: \(path) -- python3 server.py" }

    /// Words that are neither options nor their values.
    private static func strays(_ words: ArraySlice<String>, _ flags: Set<String>) -> Int {
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
