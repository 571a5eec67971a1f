import AuthorCommands
import JSONText

/// Follows an `add` or `update` to its end.
enum Provisioning {
    static func run(_ method: String, _ path: String, _ body: JSONValue, _ installation: Installation, json: Bool) async throws {
        var failure: JSONValue?
        var ended = false
        try await ControlClient.gateway(installation).lines(method, path, body) { event in
            switch event["event"]?.stringValue {
            case "step": json ? Output.json(event) : Output.line("  " + event.cell("text"))
            case "ready":
                ended = true
                if json { return Output.json(event) }
                Output.line("\(event.cell("name")) ready: \(Count.text(event["tools"]?.intValue ?? 0, "tool")) in \(event.cell("seconds")) s")
            case "failed":
                ended = true
                failure = event
                if json { Output.json(event) }
            default: break
            }
        }
        if let failure {
            if !json, let stderr = failure["stderr"]?.stringValue, !stderr.isEmpty {
                Output.error(stderr.split(separator: "\n").suffix(20).map { "  | " + Printable.line(String($0)) }.joined(separator: "\n"))
            }
            throw Failure("failed: " + Sentence.asClause(failure.cell("message")), hint: failure["hint"]?.stringValue, isTold: true)
        }
        guard ended else { throw Failure("the gateway ended before the work did", hint: "berth status, then run the command again") }
    }
}
