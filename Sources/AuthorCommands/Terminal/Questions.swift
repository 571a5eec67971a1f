import Glibc
import JSONText
import MCP
import NIOCore

/// Answers what a server asks in the middle of a call: on the terminal, or from `--answers`.
struct Questions: Sendable {
    /// What this client says that it can be asked.
    static let capabilities = ByteBuffer(string: #"{"elicitation":{"form":{},"url":{}}}"#)

    /// What a server's words on a request of its own mean that was refused here: a terminal has no model and no roots.
    static func refusal(in text: String) -> String? {
        guard let method = ["sampling/createMessage", "roots/list"].first(where: text.contains) else { return nil }
        return "\(Program.name) has refused \(method), which the server asked for: call it from a client that has declared it"
    }

    private var answers: Answers?

    init(answers: String?) throws { self.answers = try answers.map(Answers.init) }

    /// What was given with `--answers` and nothing asked for.
    var unasked: [String] { answers?.unasked ?? [] }

    mutating func answer(_ requests: JSONObject) throws -> JSONObject {
        var responses = JSONObject()
        try answers?.meet(requests.members.compactMap { $0.value["params"].flatMap(Self.form(of:)) })
        for (key, request) in requests.members {
            guard request["method"]?.stringValue == "elicitation/create" else {
                throw Failure(
                    "the server asks for \(Printable.line(request["method"]?.stringValue ?? "something")), which a terminal cannot answer",
                    hint: "call it from a client that has declared it")
            }
            responses[key] = try elicitation(request["params"] ?? [:])
        }
        return responses
    }

    private func elicitation(_ params: JSONValue) throws -> JSONValue {
        let message = Printable.text(params["message"]?.stringValue ?? "")
        guard let form = Self.form(of: params) else { return try url(message, Printable.line(params["url"]?.stringValue ?? "")) }
        if let answers {
            do throws(ElicitationForm.Complaint) {
                return ["action": "accept", "content": .object(try answers.content(of: form))]
            } catch {
                throw Failure(
                    "--answers does not fit what the server asks ('\(Printable.line(message))'): \(error.text)",
                    hint: "it asks for " + Answers.names(form.fields), code: 64)
            }
        }
        guard isatty(0) == 1 else {
            Output.note(
                "declined what the server asks ('\(Printable.line(message))'): standard input is no terminal; --answers gives "
                    + Answers.names(form.fields))
            return ["action": "decline"]
        }
        return try ask(message, form)
    }

    /// Nil where a page is to be opened instead.
    private static func form(of params: JSONValue) -> ElicitationForm? {
        params["mode"]?.stringValue == "url" ? nil : ElicitationForm(schema: params["requestedSchema"])
    }

    private func ask(_ message: String, _ form: ElicitationForm) throws -> JSONValue {
        Output.error("The server asks: \(message)\n(an empty line takes the default; 'decline' or 'cancel' ends)")
        var content = JSONObject()
        for field in form.fields {
            if let detail = field.detail { Output.error("  " + Printable.line(detail)) }
            while true {
                Output.prompt(Printable.line(field.question) + (field.presetText.map { " [\(Printable.line($0))]" } ?? "") + ": ")
                guard let line = try Self.line() else { return ["action": "cancel"] }
                if ["decline", "cancel"].contains(line.trimmed) { return ["action": .string(line.trimmed)] }
                do throws(ElicitationForm.Complaint) {
                    if let value = try field.value(of: line) { content[field.name] = value }
                    break
                } catch {
                    Output.error("  " + error.text)
                }
            }
        }
        if form.fields.isEmpty {
            Output.prompt("accept, decline or cancel [accept]: ")
            let line = try Self.line()?.trimmed ?? "cancel"
            return ["action": .string(["decline", "cancel"].contains(line) ? line : "accept"), "content": [:]]
        }
        return ["action": "accept", "content": .object(content)]
    }

    private func url(_ message: String, _ url: String) throws -> JSONValue {
        Output.error("The server asks you to open a page: \(message)\n  \(url)")
        guard isatty(0) == 1 else {
            Output.note("declined, standard input is no terminal")
            return ["action": "decline"]
        }
        Output.prompt("Enter when it is done, or 'decline' or 'cancel': ")
        let line = try Self.line()?.trimmed ?? "cancel"
        return ["action": .string(["decline", "cancel"].contains(line) ? line : "accept")]
    }

    /// A line of the terminal; an interruption ends the wait for it.
    private static func line() throws -> String? {
        while true {
            try Task.checkCancellation()
            var one = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
            if poll(&one, 1, 100) > 0 { return readLine(strippingNewline: true) }
        }
    }
}
