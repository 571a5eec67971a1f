import JSONText
import Testing

@testable import ServerCheck

@Suite struct NameRulesTests {
    private static func tool(_ name: String, _ more: (String, JSONValue)...) -> JSONValue {
        .object(JSONObject([("name", .string(name)), ("inputSchema", ["type": "object"])] + more))
    }

    private static func letters(_ count: Int) -> String { String(repeating: "a", count: count) }

    @Test(arguments: ["get_time", "Get-Time9", letters(46)]) func aNameForAllPasses(_ name: String) {
        #expect(NameRules.check([Self.tool(name)], server: "time") == [])
    }

    @Test(arguments: [
        ("get time", Finding.Severity.failure, "the protocol allows"), ("größe", .failure, "the protocol allows"),
        ("a/b", .failure, "the protocol allows"),
        ("time.get", .warning, "names with a point"), (letters(65), .failure, "65 characters"),
        (letters(47), .warning, "VS Code: 65 characters with the server's name"),
    ]) func aNameThatAClientRefusesIsNamed(_ name: String, _ severity: Finding.Severity, _ text: String) {
        let found = NameRules.check([Self.tool(name)], server: "a-server-of-some-len")
        #expect(found.contains { $0.severity == severity && $0.text.contains(text) && $0.tool == name }, "\(found)")
    }

    @Test func eachClientCountsTheServersName() {
        func clients(_ count: Int, _ server: String) -> [String] {
            NameRules.check([Self.tool(Self.letters(count))], server: server).compactMap { $0.text.split(separator: ":").first.map(String.init) }
        }
        #expect(clients(53, "time") == [])
        #expect(clients(54, "time") == ["Claude Code"])
        #expect(clients(56, "time") == ["Claude Code", "Cursor", "VS Code"])
        #expect(clients(46, "a-server-of-eighteen") == ["Claude Code", "Cursor"])
        let found = NameRules.check([Self.tool(Self.letters(54))], server: "time")
        #expect(found.first?.remedy == "shorten it to 53 or fewer")
        let long = NameRules.check([Self.tool("a")], server: Self.letters(70))
        #expect(long.map(\.remedy).allSatisfy { $0 == "shorten the server's name, which leaves it no room" } && long.count == 2, "\(long)")
    }

    @Test func namesThatAreTheSameForSomebody() {
        #expect(NameRules.check([Self.tool("a"), Self.tool("a")], server: "s").map(\.severity) == [.failure])
        #expect(NameRules.check([Self.tool("get_x"), Self.tool("Get-X")], server: "s") == [])
        #expect(NameRules.check([Self.tool("get_x"), Self.tool("Get_x")], server: "s").map(\.severity) == [.warning])
        #expect(NameRules.check([["inputSchema": [:]]], server: "s").map(\.text) == ["tool 1 of the list has no name"])
    }

    @Test(arguments: ["rule[]", "", letters(65), "StartTime<", "a/b"]) func anArgumentsNameThatPoisonsTheList(_ name: String) {
        let tool = JSONValue.record(
            ("name", "t"), ("inputSchema", ["type": "object", "properties": .object([name: [:], "ok.fine-1": [:]])]))
        let found = NameRules.check([tool], server: "s")
        #expect(found.count == 1 && found.first?.severity == .failure, "\(found)")
        #expect(
            found.first?.pointer == "/inputSchema/properties/" + name.split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1"))
    }

    @Test func annotationsAndDescriptions() {
        let good: JSONValue = ["name": "g", "description": "d", "annotations": ["readOnlyHint": true]]
        #expect(DescriptionRules.check([good]) == [])
        let tools: [JSONValue] = [
            ["name": "bare"], ["name": "both", "description": "d", "annotations": ["readOnlyHint": true, "destructiveHint": true]],
            ["name": "writes", "description": "d", "annotations": ["readOnlyHint": false]],
        ]
        let found = DescriptionRules.check(tools)
        #expect(found.map(\.severity) == [.warning, .note, .warning, .warning], "\(found)")
        #expect(found.map(\.tool) == ["both", "writes", nil, nil])
        #expect(found[2].text.hasPrefix("no readOnlyHint: bare;") && found[3].text == "no description: bare")
    }

    @Test func numbers() throws {
        let value = try JSONValue(parsing: #"{"a":[1.50,{"b":9007199254740993}],"c":"7","d":-12345678901234567890123}"#)
        let literals = NumberRules.literals(in: value)
        #expect(literals == ["1.50", "9007199254740993", "-12345678901234567890123"])
        #expect(NumberRules.unsafe(literals + ["9007199254740992", "1e30"]) == ["9007199254740993", "-12345678901234567890123"])
        #expect(NumberRules.altered(["9007199254740993"], answer: "9007199254740992").map(\.came) == ["9007199254740992"])
        #expect(NumberRules.altered(["9007199254740993", "7"], answer: "9007199254740993 8").isEmpty)
    }
}
