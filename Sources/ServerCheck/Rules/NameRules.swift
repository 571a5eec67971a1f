public import JSONText

/// What clients take as a tool's name and as its arguments' names. Facts: `docs/connector-authors.md`.
public enum NameRules {
    static let id = "tools.names"

    /// - Parameters:
    ///   - tools: the whole list.
    ///   - server: the name under which clients know the server: most put it before the tool's.
    public static func check(_ tools: [JSONValue], server: String) -> [Finding] {
        var all: [Finding] = []
        var seen: [String: String] = [:]
        for (index, tool) in tools.enumerated() {
            guard let name = tool["name"]?.stringValue, !name.isEmpty else {
                all.append(Finding(id, .failure, "tool \(index + 1) of the list has no name", remedy: "give it one"))
                continue
            }
            all += check(name, server: server)
            all += arguments(tool, name)
            let folded = String(name.lowercased().map { allowed($0) ? $0 : "_" })
            if let other = seen[folded] {
                let isSame = other == name
                all.append(
                    Finding(
                        id, isSame ? .failure : .warning, isSame ? "two tools have this name" : "clients may not tell it from \(other)",
                        remedy: "rename one of them", tool: name))
            }
            seen[folded] = name
        }
        return all
    }

    private static func check(_ name: String, server: String) -> [Finding] {
        var all: [Finding] = []
        func add(_ severity: Finding.Severity, _ text: String, _ remedy: String) {
            all.append(Finding(id, severity, text, remedy: remedy, tool: Excerpt.of(name, 128)))
        }
        if !name.allSatisfy({ allowed($0) || $0 == "." }) {
            add(.failure, "the protocol allows letters of ASCII, digits, _, - and . in names", "rename it")
        } else if name.contains(".") {
            add(.warning, "Claude and OpenAI refuse names with a point; gateways must rename it", "use _ in place of .")
        }
        if name.count > 64 {
            add(.failure, "\(name.count) characters; Claude, Cursor, VS Code and OpenAI take 64 at most", "shorten it to 40 or fewer")
            return all
        }
        for (client, length, limit) in lengths(name.count, server: server.count) where length > limit {
            let left = name.count - (length - limit)
            add(
                .warning, "\(client): \(length) characters with the server's name '\(Excerpt.of(server, 80))', \(limit) at most",
                left > 0 ? "shorten it to \(left) or fewer" : "shorten the server's name, which leaves it no room")
        }
        return all
    }

    /// Names as clients build them: `mcp__SERVER__TOOL`, `SERVER:TOOL`, `mcp_SERVER_TOOL` with a prefix of 18 at most.
    private static func lengths(_ tool: Int, server: Int) -> [(client: String, length: Int, limit: Int)] {
        [("Claude Code", 7 + server + tool, 64), ("Cursor", server + 1 + tool, 60), ("VS Code", min(5 + server, 18) + tool, 64)]
    }

    /// Claude's API refuses a whole request because of one such name.
    private static func arguments(_ tool: JSONValue, _ name: String) -> [Finding] {
        (tool["inputSchema"]?["properties"]?.objectValue?.keys ?? []).filter { key in
            !(1...64).contains(key.count) || !key.allSatisfy { allowed($0) || $0 == "." }
        }.map { key in
            Finding(
                id, .failure, "an argument's name that Claude's API refuses, and with it every request that lists this tool",
                remedy: "use 1 to 64 letters of ASCII, digits, _, - and .", tool: name,
                pointer: JSONPointer.appending(key, to: "/inputSchema/properties"))
        }
    }

    private static func allowed(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || character == "_" || character == "-")
    }
}
