import JSONText
import Testing

@testable import ServerCheck

@Suite struct BaselineTests {
    private static let before: [JSONValue] = [
        ["name": "b", "description": "old", "inputSchema": ["type": "object", "properties": ["x": ["maximum": .number("1.0")]]]],
        ["name": "a", "inputSchema": ["type": "object", "required": ["p"]]],
    ]

    @Test func whatIsWrittenIsRead() throws {
        let baseline = ToolBaseline(tools: Self.before)
        let again = try #require(ToolBaseline(parsing: Array(baseline.text.utf8)))
        #expect(again == baseline && again.tools.map { $0["name"] } == ["a", "b"])
        #expect(baseline.text.contains("\n          \"maximum\": 1.0\n") || baseline.text.contains("\"maximum\": 1.0\n"), "\(baseline.text)")
        #expect(baseline.text.hasSuffix("}\n"))
    }

    @Test(arguments: ["", "[]", "{}", #"{"tools":{}}"#]) func whatIsNoBaselineIsRefused(_ text: String) {
        #expect(ToolBaseline(parsing: Array(text.utf8)) == nil)
    }

    @Test func anotherOrderIsNoChange() {
        let now: [JSONValue] = [Self.before[1], ["inputSchema": Self.before[0]["inputSchema"] ?? nil, "description": "old", "name": "b"]]
        #expect(ToolBaseline(tools: Self.before).differences(to: now) == [])
    }

    @Test func everyChangeIsNamedWithItsPlace() throws {
        let now: [JSONValue] = [
            ["name": "b", "description": "new", "inputSchema": ["type": "object", "properties": ["x": ["maximum": .number("1")], "y/z": true]]],
            ["name": "c", "inputSchema": ["type": "object"]],
        ]
        let found = ToolBaseline(tools: Self.before).differences(to: now)
        #expect(found.allSatisfy { $0.severity == .failure && $0.id == "tools.baseline" && $0.remedy?.contains("--write-baseline") == true })
        #expect(
            found.map(\.line) == [
                "a: it is in the baseline and no longer in the list", #"b /description: "old" has become "new""#,
                "b /inputSchema/properties/x/maximum: 1.0 has become 1", "b /inputSchema/properties/y~1z: true is new",
                "c: it is not in the baseline",
            ])
    }

    @Test func aListThatGrewIsOneChange() {
        let old: JSONValue = ["name": "t", "inputSchema": ["required": ["a"]]]
        let new: JSONValue = ["name": "t", "inputSchema": ["required": ["a", "b"]]]
        let found = ToolBaseline(tools: [old]).differences(to: [new])
        #expect(found.map(\.line) == [#"t /inputSchema/required: ["a"] has become ["a","b"]"#])
    }
}
