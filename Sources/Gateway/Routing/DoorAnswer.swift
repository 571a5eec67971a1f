import Door
import JSONText
import MCP
import NIOCore

/// What a door's answer means for a call: pure functions of status and body (DESIGN §5).
enum DoorAnswer {
    /// How the body of an answer to `POST /mcp` has to be read.
    enum Shape: Equatable {
        case json
        case events
        /// Small, to be collected and handed to ``refusal(status:body:)``.
        case refusal
    }

    /// Why a machine cannot take the call that is its session's.
    enum Loss: String, Equatable {
        case unreachable
        case wrongBoot = "wrong_boot"
        case draining
        /// It stands still, and is there again when it is waked.
        case suspended
    }

    enum Refusal: Equatable {
        case credentialsNeeded
        /// Nothing was delivered.
        case notDelivered(reason: String, Loss?)
        /// The door read the request and answers an error of the protocol.
        case error(MCPError)
        case outcomeUnknown(reason: String)
    }

    static func shape(status: Int, contentType: String?) -> Shape? {
        guard status == 200 else { return .refusal }
        let type = contentType?.prefix { $0 != ";" && $0 != " " }.lowercased()
        switch type {
        case "application/json": return .json
        case "text/event-stream": return .events
        default: return nil
        }
    }

    static func refusal(status: Int, body: ByteBuffer) -> Refusal {
        let whole = try? JSONValue(parsing: body.readableBytesSpan)
        let code = whole?["error"]?.stringValue
        switch (status, code) {
        case (401, _):
            let reason = whole?["reason"]?.stringValue ?? "no reason"
            switch reason {
            // The machine does not know our keys: it is another boot than the one that they were derived for.
            case "wrong_boot", "unknown_key", "wrong_audience", "bad_signature":
                return .notDelivered(reason: "the machine was restarted", .wrongBoot)
            default:
                return .notDelivered(reason: "the machine refused the gateway: \(reason)", nil)
            }
        case (409, DoorErrorCode.credentialsNeeded): return .credentialsNeeded
        case (503, DoorErrorCode.draining): return .notDelivered(reason: "the machine is draining", .draining)
        case (400, _):
            if let error = protocolError(body) { return .error(error) }
            return .notDelivered(reason: "the machine refused the request", nil)
        case (400..<500, _): return .notDelivered(reason: "the machine refused the request", nil)
        default: return .outcomeUnknown(reason: "the machine answered with status \(status)")
        }
    }

    private static func protocolError(_ body: ByteBuffer) -> MCPError? {
        guard let envelope = try? EnvelopeScanner.scan(body.readableBytesSpan), let error = envelope.error else { return nil }
        return MCPError(object: error, in: body)
    }

    /// The outcome that a JSON-RPC response tells; `nil` when it does not answer the request of `id`.
    static func outcome(_ message: ByteBuffer, _ envelope: Envelope, id: Int) -> MCPOutcome? {
        guard let answered = envelope.id, message.text(answered) == String(id) else { return nil }
        if let result = envelope.result { return .result(message.slice(result)) }
        guard let span = envelope.error else { return nil }
        let error = MCPError(object: span, in: message)
        guard error.code == MCPError.Code.notDelivered || error.code == MCPError.Code.outcomeUnknown,
            let data = error.data, let told = try? JSONValue(parsing: data.readableBytesSpan),
            let kind = told["error"]?.stringValue.flatMap(Undelivered.Kind.init(rawValue:))
        else { return .error(error) }
        var why = Undelivered(kind, error.message, incident: told["incident"]?.stringValue, code: told["reason"]?.stringValue)
        // It is said once.
        if let incident = why.incident, why.reason.hasSuffix(" (incident \(incident))") {
            why.reason.removeLast(" (incident \(incident))".count)
        }
        return .failed(why)
    }
}

extension ByteBuffer {
    /// The bytes of `span`, sharing this buffer's storage. Spans count from the first readable byte.
    func slice(_ span: JSONSpan) -> ByteBuffer {
        getSlice(at: readerIndex + span.start, length: span.count) ?? ByteBuffer()
    }

    func text(_ span: JSONSpan) -> String {
        getString(at: readerIndex + span.start, length: span.count) ?? ""
    }
}
