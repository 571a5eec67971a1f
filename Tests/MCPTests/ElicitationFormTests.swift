import JSONText
import MCP
import Testing

@Suite struct ElicitationFormTests {
    static let form = ElicitationForm(
        schema: try? JSONValue(
            parsing: """
                {"type":"object","required":["name","age"],"properties":{
                 "name":{"type":"string","title":"Your name","minLength":2,"maxLength":5},
                 "age":{"type":"integer","minimum":0,"maximum":150},
                 "ratio":{"type":"number","default":0.5},
                 "fine":{"type":"boolean","default":true},
                 "colour":{"type":"string","enum":["red","green"],"enumNames":["Rot","Grün"]},
                 "size":{"type":"string","oneOf":[{"const":"s","title":"Small"},{"const":"l","title":"Large"}],"default":"s"},
                 "tags":{"type":"array","maxItems":2,"items":{"type":"string","enum":["a","b","c"]},"default":["a"]},
                 "mail":{"type":"string","format":"email"}}}
                """))

    private func field(_ name: String) throws -> ElicitationForm.Field { try #require(Self.form.fields.first { $0.name == name }) }

    @Test(arguments: [
        ("name", "Your name [name] (text; at least 2 characters; at most 5 characters; required)", nil),
        ("age", "age (integer; at least 0; at most 150; required)", nil),
        ("ratio", "ratio (number)", "0.5"),
        ("fine", "fine (yes or no)", "yes"),
        ("colour", "colour (one of: red (Rot), green (Grün))", nil),
        ("size", "size (one of: s (Small), l (Large))", "s"),
        ("tags", "tags (any of, with commas: a, b, c)", "a"),
        ("mail", "mail (email)", nil),
    ] as [(String, String, String?)])
    func questionsSayWhatMayStandThere(_ name: String, _ question: String, _ preset: String?) throws {
        let field = try field(name)
        #expect(field.question == question && field.presetText == preset)
    }

    @Test(arguments: [
        ("name", " Ann ", #""Ann""#), ("age", "41", "41"), ("ratio", "1.50", "1.50"), ("ratio", "", "0.5"), ("fine", "n", "false"),
        ("fine", "", "true"), ("colour", "red", #""red""#), ("colour", "grün", #""green""#), ("colour", "2", #""green""#),
        ("size", "large", #""l""#), ("tags", "a, c", #"["a","c"]"#), ("mail", "", nil), ("mail", "x@y", #""x@y""#),
    ] as [(String, String, String?)])
    func linesBecomeValues(_ name: String, _ line: String, _ value: String?) throws {
        #expect(try field(name).value(of: line)?.text == value)
    }

    @Test(arguments: [
        ("name", ""), ("name", "x"), ("name", "longer than five"), ("age", "old"), ("age", "1.5"), ("age", "151"), ("fine", "maybe"),
        ("colour", "blue"), ("colour", "3"), ("tags", "a,b,c"), ("tags", "d"),
        ("mail", "x"),
    ])
    func othersAreAskedAgain(_ name: String, _ line: String) throws {
        let field = try field(name)
        #expect(throws: ElicitationForm.Complaint.self) { try field.value(of: line) }
    }

    @Test func answersGivenBeforehandAreCheckedAndCompleted() throws {
        let given: JSONObject = ["age": 3, "name": "Bo", "other": 1]
        let content = try Self.form.content(from: given)
        #expect(JSONValue.object(content).text == #"{"name":"Bo","age":3,"ratio":0.5,"fine":true,"size":"s","tags":["a"]}"#)
        #expect(throws: ElicitationForm.Complaint(text: "age has no answer and no default")) { try Self.form.content(from: ["name": "Bo"]) }
        #expect(throws: ElicitationForm.Complaint(text: "age must be a number")) { try Self.form.content(from: ["name": "Bo", "age": "3"]) }
    }

    @Test(arguments: [
        ("email", "a@b", "a @b"), ("email", "a.b+c@d.example", "@b"), ("uri", "https://h/x?y#z", "nouri"), ("uri", "urn:isbn:1", "1a:b"),
        ("uri", "mailto:a@b", "http://a b"), ("date", "2024-02-29", "2023-02-29"), ("date", "2026-12-31", "2026-13-01"),
        ("date", "0001-01-01", "tomorrow"),
        ("date-time", "2026-07-28T12:00:00Z", "2026-07-28T12:00:00"), ("date-time", "2026-07-28t23:59:60.125+02:00", "2026-07-28T24:00:00Z"),
        ("date-time", "2026-07-28 00:00:00-23:59", "2026-07-28T12:00:00.Z"),
    ])
    func aFormatIsKept(_ format: String, _ good: String, _ bad: String) throws {
        let form = ElicitationForm(schema: ["properties": ["x": ["type": "string", "format": .string(format)]]])
        #expect(try form.content(from: ["x": .string(good)]) == ["x": .string(good)])
        #expect(throws: ElicitationForm.Complaint.self) { try form.content(from: ["x": .string(bad)]) }
    }

    @Test func aFormatThatTheProtocolHasNotIsNotLookedAt() throws {
        let form = ElicitationForm(schema: ["properties": ["x": ["type": "string", "format": "colour"]]])
        #expect(try form.content(from: ["x": "1"]) == ["x": "1"])
    }

    @Test func aFormWithoutFieldsIsAQuestion() {
        #expect(ElicitationForm(schema: nil).fields.isEmpty)
    }

    @Test(arguments: [
        ("echo", "echo"), ("a b", "a b"), ("", ""), (" x", "=?base64?IHg=?="), ("ü", "=?base64?w7w=?="), ("=?base64?x", "=?base64?PT9iYXNlNjQ/eA==?="),
        ("\u{1}ab", "=?base64?AWFi?="),
    ])
    func namesSurviveHeaders(_ name: String, _ header: String) {
        #expect(HeaderValue.encode(name) == header)
    }
}
