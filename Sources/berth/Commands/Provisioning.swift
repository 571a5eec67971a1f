import AuthorCommands
import Glibc
import JSONText

/// Follows an `add`, an `update` or a test to its end.
enum Provisioning {
    /// - Parameter asks: somebody at a terminal is asked about a doubtful release; else it is refused unless it is accepted already.
    static func run(
        _ method: String, _ path: String, _ body: JSONValue, _ installation: Installation, json: Bool, asks: Bool = true
    ) async throws {
        let ready = try await accepted(method, path, body, installation, json: json, asks: asks).end
        if json { return }
        Output.line("\(ready.cell("name")) ready: \(Count.text(ready["tools"]?.intValue ?? 0, "tool")) in \(ready.cell("seconds")) s")
    }

    /// - Returns: how it ended, and what was accepted for it.
    static func accepted(
        _ method: String, _ path: String, _ body: JSONValue, _ installation: Installation, json: Bool, asks: Bool = true, namesReason: Bool = false
    ) async throws -> (end: JSONValue, accepted: JSONValue?) {
        var body = body
        var isTold = false
        while true {
            do {
                return (try await follow(method, path, body, installation, json: json, namesReason: namesReason, isTold: isTold), body["accept"])
            } catch let question as Unconfirmed {
                guard asks, !json, isatty(0) == 1, try question.isConfirmed(), var members = body.objectValue else { throw question.failure }
                members["accept"] = .array((body["accept"]?.arrayValue ?? []) + question.accept)
                body = .object(members)
                isTold = true
            }
        }
    }

    /// A release that nobody has said yes to.
    private struct Unconfirmed: Error {
        var accept: [JSONValue]
        var failure: Failure

        func isConfirmed() throws -> Bool {
            Output.prompt("Build \(Printable.line(accept.compactMap(\.stringValue).joined(separator: " and "))) all the same? [y/N] ")
            return ["y", "yes"].contains(readLine(strippingNewline: true)?.lowercased() ?? "")
        }
    }

    /// - Parameters:
    ///   - namesReason: a failure's word goes before its sentence.
    ///   - isTold: whoever reads this has seen what is told of the releases.
    /// - Returns: how it ended, where it did not fail; programs have heard of it.
    private static func follow(
        _ method: String, _ path: String, _ body: JSONValue, _ installation: Installation, json: Bool, namesReason: Bool, isTold: Bool
    ) async throws -> JSONValue {
        var end: JSONValue?
        try await ControlClient.gateway(installation).lines(method, path, body) { event in
            if json { Output.json(event) }
            switch event["event"]?.stringValue {
            case "step": if !json { Output.line("  " + event.cell("text")) }
            case "release": if !json, !isTold { for line in ReleaseText(release: event).lines { Output.line(line) } }
            default: end = event
            }
        }
        guard let end else { throw Failure("the gateway ended before the work did", hint: "berth status, then run the command again") }
        guard end["event"]?.stringValue == "failed" else { return end }
        if !json, let stderr = end["stderr"]?.stringValue, !stderr.isEmpty {
            Output.error(stderr.split(separator: "\n").suffix(20).map { "  | " + Printable.line(String($0)) }.joined(separator: "\n"))
        }
        let reason = namesReason ? end["reason"]?.stringValue.map { $0 + (end["exit_code"]?.intValue.map { "(\($0))" } ?? "") + ": " } : nil
        let failure = Failure("failed: " + (reason ?? "") + Sentence.asClause(end.cell("message")), hint: end["hint"]?.stringValue, isTold: true)
        if end["error"] == "unconfirmed", let accept = end["accept"]?.arrayValue, !accept.isEmpty { throw Unconfirmed(accept: accept, failure: failure) }
        throw failure
    }
}
