import JSONText
import Testing

@Suite struct ConfigEditTests {
    private func edit(_ text: String, _ name: String = "new", _ value: JSONValue = ["command": "x", "args": ["a", "b"]]) throws -> String {
        String(decoding: try ConfigEdit.setting(name, to: value, in: "mcpServers", of: Array(text.utf8)), as: UTF8.self)
    }

    private static let entry = "\"new\": {\n      \"command\": \"x\",\n      \"args\": [\"a\", \"b\"]\n    }"

    @Test(arguments: [
        ("", "{\n  \"mcpServers\": {\n    \(entry)\n  }\n}\n"),
        ("{}", "{\n  \"mcpServers\": {\n    \(entry)\n  }\n}"),
        ("{ \"a\": 1.50 }\n", "{ \"a\": 1.50,\n  \"mcpServers\": {\n    \(entry)\n  } }\n"),
        ("{\n  \"mcpServers\": {}\n}\n", "{\n  \"mcpServers\": {\n    \(entry)\n  }\n}\n"),
        (
            "\u{FEFF}{\n  \"mcpServers\": {\n    \"old\": { \"n\": 1e3 }\n  },\n  \"z\":\"\\u00e9\"\n}",
            "\u{FEFF}{\n  \"mcpServers\": {\n    \"old\": { \"n\": 1e3 },\n    \(entry)\n  },\n  \"z\":\"\\u00e9\"\n}"
        ),
        (
            "{\n  \"mcpServers\": {\n    \"new\": 1,\n    \"old\": 2\n  }\n}",
            "{\n  \"mcpServers\": {\n    \(entry),\n    \"old\": 2\n  }\n}"
        ),
    ])
    func everythingElseStays(_ before: String, _ after: String) throws {
        #expect(try edit(before) == after)
    }

    @Test func theFilesOwnIndentationIsKept() throws {
        let after = try edit("{\n\t\"mcpServers\": {\n\t\t\"a\": {}\n\t}\n}\n", "b", ["url": "u"])
        #expect(after == "{\n\t\"mcpServers\": {\n\t\t\"a\": {},\n\t\t\"b\": {\n\t\t\t\"url\": \"u\"\n\t\t}\n\t}\n}\n")
    }

    @Test func theFilesOwnLineEndsAreKept() throws {
        let after = try edit("{\r\n  \"mcpServers\": {\r\n    \"new\": 1\r\n  }\r\n}\r\n")
        #expect(after == "{\r\n  \"mcpServers\": {\r\n    \(Self.entry.replacing("\n", with: "\r\n"))\r\n  }\r\n}\r\n")
        #expect(try edit("{\r\n}\r\n", "a", 1) == "{\r\n  \"mcpServers\": {\r\n    \"a\": 1\r\n  }\r\n}\r\n")
    }

    @Test(arguments: [
        ("{\n  // no JSON\n}", ConfigEdit.Refusal.broken(line: 2, column: 3, reason: "unexpected byte")),
        ("{\n  \"a\": 1,\n}", .broken(line: 3, column: 1, reason: "unexpected byte")),
        ("{\"a\": 1", .broken(line: 1, column: 8, reason: "unexpected end")),
        ("{\"a\": 1, \"a\": 2}", .broken(line: 1, column: 10, reason: "duplicate key")),
        ("[]", .notAnObject("the file")),
        ("{\"mcpServers\": []}", .notAnObject("\"mcpServers\"")),
    ])
    func brokenFilesAreRefused(_ text: String, _ refusal: ConfigEdit.Refusal) {
        #expect(throws: refusal) { try edit(text) }
    }

    /// A line comment, a trailing comma, both; before, behind and between; none of it moves away from what it is about.
    @Test(arguments: [
        ("{\n  // mine\n}", "{\n  // mine\n  \"mcpServers\": {\n    \(entry)\n  }\n}"),
        (
            "// top\n{\n\t\"mcpServers\": {\n\t\t\"a\": {}, // of a\n\t\t// later\n\t},\n}\n// end",
            "// top\n{\n\t\"mcpServers\": {\n\t\t\"a\": {}, // of a\n\t\t\"new\": 1,\n\t\t// later\n\t},\n}\n// end"
        ),
        (
            "{\n  \"mcpServers\": {\n    \"a\": {} /* of a */ // too\n  }\n}",
            "{\n  \"mcpServers\": {\n    \"a\": {}, /* of a */ // too\n    \"new\": 1\n  }\n}"
        ),
        (
            "{\n  \"mcpServers\": {\n    \"a\": 2 // of a\n    , // the comma\n  }\n}",
            "{\n  \"mcpServers\": {\n    \"a\": 2 // of a\n    , // the comma\n    \"new\": 1,\n  }\n}"
        ),
        (
            "{\"mcpServers\": { /* none, yet */ }, \"u\": \"http://x/*\"}",
            "{\"mcpServers\": { /* none, yet */\n    \"new\": 1\n  }, \"u\": \"http://x/*\"}"
        ),
        (
            "{\n  \"mcpServers\": {\n    \"new\": { \"x\": [1, 2,], /* \" */ }, // it\n    \"b\": \"a // \\\" b\",\n  },\n}",
            "{\n  \"mcpServers\": {\n    \"new\": 1, // it\n    \"b\": \"a // \\\" b\",\n  },\n}"
        ),
        ("{\n  /* one */ \"inputs\": [],\n}", "{\n  /* one */ \"inputs\": [],\n  \"mcpServers\": {\n    \"new\": 1\n  },\n}"),
        ("{\r\n  \"mcpServers\": {\r\n    \"a\": 1 // c\r\n  }\r\n}", "{\r\n  \"mcpServers\": {\r\n    \"a\": 1, // c\r\n    \"new\": 1\r\n  }\r\n}"),
    ])
    func commentsStayWhereTheyAreAllowed(_ before: String, _ after: String) throws {
        func edit(_ text: String, _ value: JSONValue) throws -> String {
            let bytes = try ConfigEdit.setting("new", to: value, in: "mcpServers", of: Array(text.utf8), mayHaveComments: true)
            return String(decoding: bytes, as: UTF8.self)
        }
        let value: JSONValue = before.contains("mine") ? ["command": "x", "args": ["a", "b"]] : 1
        let edited = try edit(before, value)
        #expect(edited == after)
        // What was written can be read and written again, and nothing changes any more.
        #expect(try edit(edited, value) == edited)
        #expect((try? self.edit(before)) == nil, "elsewhere it is not JSON")
    }

    @Test(arguments: [
        ("{ /* no end }", 1, 3), ("{,}", 1, 2), ("{\"a\": [,]}", 1, 8), ("{\"a\": 1,,}", 1, 9), ("{\"a\":,}", 1, 6), ("{ / }", 1, 3),
        ("{\n// x\n\"a\": }", 3, 6), ("{\"a\": 1}, // x", 1, 9), ("{\"a\": 1 \"b\": 2,}", 1, 9), ("// only", 1, 8),
    ])
    func whatIsNeitherIsRefused(_ text: String, _ line: Int, _ column: Int) {
        do throws(ConfigEdit.Refusal) {
            _ = try ConfigEdit.setting("new", to: 1, in: "mcpServers", of: Array(text.utf8), mayHaveComments: true)
            Issue.record("taken")
        } catch {
            guard case .broken(let foundLine, let foundColumn, _) = error else {
                Issue.record("\(error)")
                return
            }
            #expect((foundLine, foundColumn) == (line, column))
        }
    }
}
