import ArgumentParser
import Glibc

/// A server's command that was typed without the `--` before it: the parser speaks of its words as if they were ours.
enum ForgottenTerminator {
    /// - Parameters:
    ///   - message: The parser's.
    ///   - arguments: The command line without the program.
    static func hint(_ message: String, _ arguments: [String], under root: any RootCommand.Type) -> String? {
        let path = CommandPath.words(of: arguments, under: root)
        let command = path.isEmpty ? root.configuration.defaultSubcommand?._commandName : path.joined(separator: " ")
        if command == "call", message.contains("nexpected argument") {
            // The server's own command, of which more words came than a URL, a tool and its arguments.
            let first = arguments.dropFirst(path.count).first { !$0.hasPrefix("-") }
            if let first, !ServerTarget.isURL(first), !arguments.contains("--"),
                let example = example(([root._commandName] + path).joined(separator: " ") + " TOOL '{…}'", [first])
            {
                return example
            }
            return "a tool's arguments are one JSON object: '{\"timezone\": \"UTC\"}'"
        }
        let known = AuthorCommands.serverCommands + AuthorCommands.listCommands + root.serverCommands
        guard let own = known.first(where: { $0.name == command }), !arguments.contains("--") else { return nil }
        let words = arguments.dropFirst(path.count)
        if AuthorCommands.listCommands.contains(where: { $0.name == command }), words.contains(where: ServerTarget.isURL) { return nil }
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

    /// For words that were taken for a URL and its like, and of which the first is a program, or a whole command in quotes.
    static func example(_ path: String, _ words: [String]) -> String? {
        guard let first = words.first else { return nil }
        let isCommand = first.contains(" ")
        var info = stat()
        guard isCommand || stat(first, &info) == 0 && info.st_mode & S_IFMT == S_IFREG else { return nil }
        // Of the others, nobody knows whether they are the server's.
        let others = words.count > 1 ? " …" : ""
        return "put the server's command \(isCommand ? "without quotes " : "")after --: \(path)\(others) -- \(first)"
    }

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
