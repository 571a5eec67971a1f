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
}
