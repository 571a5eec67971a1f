import AuthorCommands
import JSONText

/// Follows an `add`, an `update` or a test to its end.
enum Provisioning {
    static func run(_ method: String, _ path: String, _ body: JSONValue, _ installation: Installation, json: Bool) async throws {
        let ready = try await follow(method, path, body, installation, json: json)
        if json { return }
        Output.line("\(ready.cell("name")) ready: \(Count.text(ready["tools"]?.intValue ?? 0, "tool")) in \(ready.cell("seconds")) s")
    }

    /// - Parameter namesReason: a failure's word goes before its sentence.
    /// - Returns: how it ended, where it did not fail; programs have heard of it.
    static func follow(
        _ method: String, _ path: String, _ body: JSONValue, _ installation: Installation, json: Bool, namesReason: Bool = false
    ) async throws -> JSONValue {
        var end: JSONValue?
        try await ControlClient.gateway(installation).lines(method, path, body) { event in
            if json { Output.json(event) }
            switch event["event"]?.stringValue {
            case "step": if !json { Output.line("  " + event.cell("text")) }
            default: end = event
            }
        }
        guard let end else { throw Failure("the gateway ended before the work did", hint: "berth status, then run the command again") }
        guard end["event"]?.stringValue == "failed" else { return end }
        if !json, let stderr = end["stderr"]?.stringValue, !stderr.isEmpty {
            Output.error(stderr.split(separator: "\n").suffix(20).map { "  | " + Printable.line(String($0)) }.joined(separator: "\n"))
        }
        let reason = namesReason ? end["reason"]?.stringValue.map { $0 + (end["exit_code"]?.intValue.map { "(\($0))" } ?? "") + ": " } : nil
        throw Failure("failed: " + (reason ?? "") + Sentence.asClause(end.cell("message")), hint: end["hint"]?.stringValue, isTold: true)
    }
}
