import JSONText
import MCP

/// What `--answers` holds: values for the fields of whatever forms a server asks for during one call. Pure.
struct Answers: Sendable {
    private let given: JSONObject
    /// The fields of all forms so far.
    private var asked: Set<String> = []

    /// - Parameter text: a JSON object; a field that is null is left out.
    init(_ text: String) throws {
        given = try TypedJSON.object(text, what: "--answers is", example: "--answers '{\"name\":\"Ann\"}'")
    }

    /// The forms that the server waits for now, before any is answered.
    ///
    /// - Throws: what none of them asks for while a field of theirs has no answer: that is one mistyped, and its default must not be sent
    ///   in its place. Where all have theirs, it may be for a question that is still to come.
    mutating func meet(_ forms: [ElicitationForm]) throws {
        let fields = forms.flatMap(\.fields)
        asked.formUnion(fields.map(\.name))
        let open = fields.map(\.name).filter { !given.keys.contains($0) }
        guard !open.isEmpty, let unknown = unasked.first else { return }
        let meant = Nearest.name(to: unknown, among: open).map { "did you mean \(Printable.line($0))? " } ?? ""
        throw Failure(
            "--answers has \(Printable.line(unknown)), which the server does not ask for here",
            hint: meant + "it asks for \(Self.names(fields)); where that is for a later question, give these too (null takes a default)", code: 64)
    }

    /// What was given and no form had a field for.
    var unasked: [String] { given.keys.filter { !asked.contains($0) } }

    func content(of form: ElicitationForm) throws(ElicitationForm.Complaint) -> JSONObject {
        try form.content(from: JSONObject(given.members.filter { !$0.value.isNull }.map { ($0.key, $0.value) }))
    }

    static func names(_ fields: [ElicitationForm.Field]) -> String {
        fields.isEmpty ? "{}" : fields.map { Printable.line($0.inJSON) }.joined(separator: ", ")
    }
}
