import JSONText
import Testing

@testable import ServerCheck

/// One schema, and what is said of it.
@Suite struct SchemaRulesTests {
    private static func findings(_ schema: String, output: String? = nil) throws -> [Finding] {
        var members = [("name", "t"), ("inputSchema", try JSONValue(parsing: schema))] as [(String, JSONValue)]
        if let output { members.append(("outputSchema", try JSONValue(parsing: output))) }
        return SchemaRules.check([.object(JSONObject(members))])
    }

    @Test(arguments: [
        #"{"type":"object"}"#,
        #"{"type":"object","properties":{"a":{"type":["string","null"],"enum":["x",null]},"b":true},"required":["a"]}"#,
        ##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"},"b":{"$ref":"#named"},"c":{"$ref":"#"}},"##
            + #""$defs":{"A":{"type":"array","items":{"type":"integer","minimum":1e3}},"N":{"$anchor":"named","type":"number"}}}"#,
        ##"{"type":"object","properties":{"a/b":{"$ref":"#/properties/c~0d"},"c~d":{"$ref":"#/properties/a%20e"},"a e":{"not":{"const":1}}}}"##,
        ##"{"type":"object","$ref":"#/$defs/A","required":["x"],"$defs":{"A":{"properties":{"x":{}}}}}"##,
        #"{"type":"object","additionalProperties":false,"patternProperties":{"^x":{"type":"string"}},"required":["x1"]}"#,
    ])
    func aUsableSchemaPasses(_ schema: String) throws {
        #expect(try Self.findings(schema) == [])
    }

    @Test(arguments: [
        (#"[]"#, "/inputSchema", "[] is no schema"),
        (#"{}"#, "/inputSchema", "its type is not given"),
        (#"{"type":"array","items":{}}"#, "/inputSchema", #"its type is "array""#),
        (#"{"type":"object","properties":[]}"#, "/inputSchema/properties", "properties is []"),
        (#"{"type":"object","properties":{"a":3}}"#, "/inputSchema/properties/a", "3 is no schema"),
        (#"{"type":"object","properties":{"a":{"type":"str"}}}"#, "/inputSchema/properties/a/type", #""str" is no type"#),
        (#"{"type":"object","properties":{"a":{"type":[]}}}"#, "/inputSchema/properties/a/type", "type is an empty list"),
        (#"{"type":"object","properties":{"a":{}},"required":["b"]}"#, "/inputSchema/required", "required names b, and properties has no such"),
        (#"{"type":"object","required":"a"}"#, "/inputSchema/required", #"required is "a""#),
        (#"{"type":"object","properties":{"a":{}},"required":["a","a"]}"#, "/inputSchema/required", "required names something twice"),
        (##"{"type":"object","properties":{"a/b":{"$ref":"#/$defs/X"}}}"##, "/inputSchema/properties/a~1b/$ref", "#/$defs/X leads nowhere"),
        (##"{"type":"object","properties":{"a":{"$ref":"#x"}}}"##, "/inputSchema/properties/a/$ref", "#x leads nowhere"),
        (
            #"{"type":"object","properties":{"a":{"$ref":"https://example.org/s.json"}}}"#, "/inputSchema/properties/a/$ref",
            "https://example.org/s.json leads out of the schema, and clients do not fetch it"
        ),
        (#"{"type":"object","properties":{"a":{"enum":[]}}}"#, "/inputSchema/properties/a/enum", "enum is []"),
        (#"{"type":"object","properties":{"a":{"anyOf":[]}}}"#, "/inputSchema/properties/a/anyOf", "anyOf is []"),
        (#"{"type":"object","properties":{"a":{"anyOf":[{},7]}}}"#, "/inputSchema/properties/a/anyOf/1", "7 is no schema"),
        (
            #"{"type":"object","properties":{"a":{"exclusiveMinimum":true}}}"#, "/inputSchema/properties/a/exclusiveMinimum",
            "exclusiveMinimum is true"
        ),
        (#"{"type":"object","properties":{"a":{"minLength":-1}}}"#, "/inputSchema/properties/a/minLength", "minLength is -1"),
        (#"{"type":"object","properties":{"a":{"description":5}}}"#, "/inputSchema/properties/a/description", "description is 5"),
        (
            #"{"type":"object","properties":{"a":{"items":[{}]}}}"#, "/inputSchema/properties/a/items",
            "items is a list, which drafts since 2020-12 call prefixItems"
        ),
    ])
    func aFaultIsNamedWithItsPlace(_ schema: String, _ pointer: String, _ text: String) throws {
        let found = try Self.findings(schema)
        #expect(found.count == 1 && found.first?.severity == .failure, "\(found)")
        #expect(found.first?.pointer == pointer && found.first?.text == text, "\(found)")
        #expect(found.first?.tool == "t" && found.first?.remedy?.isEmpty == false)
    }

    @Test(arguments: [
        (#"{"type":"object","anyOf":[{}]}"#, "/inputSchema/anyOf"),
        (#"{"type":"object","properties":{"a":{"type":"array"}}}"#, "/inputSchema/properties/a"),
    ])
    func whatOnlySomeClientsRefuseIsAWarning(_ schema: String, _ pointer: String) throws {
        let found = try Self.findings(schema)
        #expect(found.map(\.severity) == [.warning] && found.first?.pointer == pointer, "\(found)")
    }

    @Test func resultsAreCheckedAndNeedBeNoObject() throws {
        #expect(try Self.findings(#"{"type":"object"}"#, output: #"{"type":"string"}"#) == [])
        let found = try Self.findings(#"{"type":"object"}"#, output: #"{"type":"object","required":["x"]}"#)
        #expect(found.map(\.pointer) == ["/outputSchema/required"], "\(found)")
        #expect(SchemaRules.check([["name": "t"]]).map(\.text) == ["there is no inputSchema"])
    }

    @Test(arguments: [
        (#"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"Region"}}}"#, 0),
        (#"{"type":"object","properties":{"a":{"type":"array","items":{},"x-mcp-header":"Region"}}}"#, 1),
        (#"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"not a token"}}}"#, 1),
        (#"{"type":"object","properties":{"a":{"anyOf":[{"type":"string","x-mcp-header":"Region"}]}}}"#, 1),
        (#"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"R"},"b":{"type":"string","x-mcp-header":"r"}}}"#, 1),
    ]) func aMisusedHeaderIsAFailure(_ schema: String, _ count: Int) throws {
        let found = HeaderRules.check(["name": "t", "inputSchema": try JSONValue(parsing: schema)])
        #expect(found.count == count && found.allSatisfy { $0.severity == .failure && $0.tool == "t" }, "\(found)")
    }

    /// Each would be looked for in the whole schema, 16 million members for these.
    @Test func referencesToNowhereTakeNoLongerThanOthers() throws {
        let members = (0..<4_000).map { ##""p\##($0)":{"$ref":"#none\##($0)"}"## }.joined(separator: ",")
        let schema = try JSONValue(parsing: #"{"type":"object","properties":{\#(members)}}"#)
        let start = ContinuousClock.now
        let found = SchemaRules.check([["name": "t", "inputSchema": schema]])
        #expect(ContinuousClock.now - start < .seconds(10))
        #expect(found.count > 1_000 && found[0].text == "#none0 leads nowhere", "\(found.count)")
        #expect(found.last?.severity == .warning && found.last?.text.contains("the check ended in tool 1 of 1") == true, "\(found.count)")
    }

    /// Pointers are looked up member by member, so that many into a wide schema count for more than the schema itself.
    @Test func whatIsTooLargeIsNotWaitedFor() throws {
        let fields = (0..<300).map { ##""p\##($0)":{"$ref":"#/$defs/d299"}"## }.joined(separator: ",")
        let definitions = (0..<300).map { #""d\#($0)":{}"# }.joined(separator: ",")
        let tool: JSONValue = ["name": "t", "inputSchema": try JSONValue(parsing: #"{"type":"object","properties":{\#(fields)},"$defs":{\#(definitions)}}"#)]
        #expect(SchemaRules.check([tool]) == [])
        let found = SchemaRules.check([tool, tool], steps: 120_000)
        #expect(found.count == 1 && found[0].text.hasSuffix("the check ended in tool 2 of 2") && found[0].severity == .warning, "\(found)")
    }

    @Test func aSchemaWithoutABottomEnds() {
        let deep = (0..<80).reduce(JSONValue.bool(true)) { inner, _ in ["not": inner] }
        let found = SchemaRules.check([["name": "t", "inputSchema": ["type": "object", "properties": ["a": deep]]]])
        #expect(found.count == 1 && found.first?.text == "it is nested more than 64 deep", "\(found)")
    }
}
