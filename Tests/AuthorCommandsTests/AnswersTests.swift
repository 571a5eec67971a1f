import JSONText
import MCP
import Testing

@testable import AuthorCommands

/// `--answers`, and what a server asks.
@Suite struct AnswersTests {
    /// A form of text fields: `name` has a default, `age!` must be given.
    private static func form(_ fields: String...) -> ElicitationForm {
        var properties = JSONObject()
        for field in fields {
            let name = field.filter { $0 != "!" }
            properties[name] = name == "name" ? ["type": "string", "default": "Bo"] : ["type": "string"]
        }
        let required = fields.filter { $0.hasSuffix("!") }.map { JSONValue.string(String($0.dropLast())) }
        return ElicitationForm(schema: ["properties": .object(properties), "required": .array(required)])
    }

    private static func line(_ body: () throws -> Void) -> String? {
        do { try body() } catch { return (error as? Failure)?.line ?? "\(error)" }
        return nil
    }

    private static func later(_ asked: String) -> String {
        "which the server does not ask for here — \(asked); where that is for a later question, give these too (null takes a default)"
    }

    @Test(arguments: [
        // Its default would have been sent instead.
        (#"{"nam": "Ann"}"#, ["name"], "--answers has nam, \(Self.later("did you mean name? it asks for name (text)"))"),
        (
            #"{"name": "Ann", "colour": "red"}"#, ["name", "age!"],
            "--answers has colour, \(Self.later("it asks for name (text), age (text; required)"))"
        ),
        // For another question, it may be.
        (#"{"name": "Ann", "colour": "red"}"#, ["name"], nil), (#"{"name": "Ann"}"#, ["name", "age!"], nil), (#"{"x": 1}"#, [], nil),
        (#"{"name": null, "colour": "red"}"#, ["name"], nil),
    ] as [(String, [String], String?)])
    func aFieldThatIsNotAskedForIsRefused(_ given: String, _ fields: [String], _ told: String?) throws {
        var answers = try Answers(given)
        // A question each.
        #expect(Self.line { try answers.meet(fields.map { Self.form($0) }) } == told)
    }

    @Test func severalQuestionsHaveTheirAnswers() throws {
        var answers = try Answers(#"{"name": "Ann", "age": "3", "colour": "red"}"#)
        #expect(answers.unasked == ["name", "age", "colour"], "nothing was asked at all")
        let (first, second) = (Self.form("name"), Self.form("age!", "note"))
        try answers.meet([first])
        #expect(answers.unasked == ["age", "colour"])
        #expect(try answers.content(of: first) == ["name": "Ann"])
        #expect(Self.line { try answers.meet([second]) }?.hasPrefix("--answers has colour, ") == true)
        #expect(answers.unasked == ["colour"])
    }

    /// "Method not found" is a word of ours there.
    @Test(arguments: [
        ("Error executing tool sample: Method not found: sampling/createMessage", " has refused sampling/createMessage, "),
        ("Method not found: roots/list", " has refused roots/list, "), ("Method not found: tools/list", nil),
    ] as [(String, String?)])
    func whatATerminalRefusesIsToldAsItsOwn(_ text: String, _ says: String?) {
        let told = Questions.refusal(in: text)
        #expect(says.map { told?.contains($0) == true } ?? (told == nil), "\(told ?? "nothing")")
    }

    /// Commas are for the terminal.
    @Test func aListIsAskedForAsJSONHasIt() {
        let form = ElicitationForm(schema: ["properties": ["tags": ["type": "array", "items": ["enum": ["a", "b"]]]]])
        #expect(Answers.names(form.fields) == "tags (a list of any of: a, b)")
    }

    @Test func whatIsNullIsLeftOut() throws {
        let answers = try Answers(#"{"name": null, "age": null}"#)
        #expect(try answers.content(of: Self.form("name")) == ["name": "Bo"])
        #expect(throws: ElicitationForm.Complaint(text: "age has no answer and no default")) { try answers.content(of: Self.form("age!")) }
    }

    @Test(arguments: ["x", "[1]", ""]) func onlyAnObjectAnswers(_ text: String) {
        #expect(Self.line { _ = try Answers(text) }?.hasPrefix("--answers is no JSON object") == true)
    }
}
