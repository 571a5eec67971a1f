import JSONText
import NIOCore

/// "URL elicitation required", an error of revision 2025-11-25: its client opens the URLs and calls again. Clients of 2026-07-28 know the same
/// as a question, whose answer is the call again.
enum URLElicitation {
    /// What a server of 2025-11-25 says when a person is done at the URL. No other revision has it.
    static let complete = "notifications/elicitation/complete"

    /// Whether a notification is that.
    static func isCompletion(_ message: ByteBuffer) -> Bool {
        RequestState.mayContain(message, "elicitation") && (try? EnvelopeScanner.scan(message.readableBytesSpan))?.method == complete
    }

    /// What a client of 2026-07-28 gets in place of an error; nil for every other error.
    ///
    /// - Parameter able: what it can be asked for.
    static func modern(_ error: MCPError, method: String, able: @autoclosure () -> ClientCapabilities) -> Result<ByteBuffer, MCPError>? {
        guard error.code == MCPError.Code.urlElicitationRequired else { return nil }
        guard InputRequired.methods.contains(method) else {
            return .failure(.internalError("the server wants a URL to be opened, which no client can be asked in \(method)"))
        }
        guard able().contains(.url) else { return .failure(.missingCapabilities(.url)) }
        let requests = requests(error)
        guard !requests.isEmpty else { return .failure(.internalError("the server wants a URL to be opened, and names none")) }
        return .success(InputRequired(requests: requests).result)
    }

    /// `data.elicitations` as questions. They have no ids in that revision, since nobody tells of their completion.
    private static func requests(_ error: MCPError) -> [InputRequest] {
        guard let data = error.data, let value = try? JSONValue(parsing: data.readableBytesSpan) else { return [] }
        let asked = (value["elicitations"]?.arrayValue ?? []).prefix(InputRequired.maximumCount)
        return asked.enumerated().compactMap { index, elicitation in
            guard let url = elicitation["url"]?.stringValue else { return nil }
            let message = elicitation["message"]?.stringValue ?? error.message
            let params: JSONValue = ["mode": "url", "message": .string(message), "url": .string(url)]
            return InputRequest(key: "url\(index + 1)", method: "elicitation/create", params: params.buffer)
        }
    }
}
