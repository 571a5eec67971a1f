import MCP
import NIOCore

/// What becomes of a request that is over.
extension RemoteSession {
    /// Streams in a row that take a call up and bring nothing.
    private static let mostEmptyStreams = 10

    mutating func ended(_ request: RemoteRequest, _ how: RemotePost.End) -> [Action] {
        switch how {
        case .complete:
            // With the transport of 2024-11-05 the answer comes elsewhere.
            guard let id = request.id, !request.isAnswered, transport == .streamable else { return [] }
            let what = request.isStream ? "the server's stream ended without an answer" : "the server answered \(request.answerKind), and no MCP"
            if !request.isStream { lastAnswer = request.answerKind }
            return takeUp(request) ?? fail(id, Undelivered(.outcomeUnknown, what))
        case .failed where request.isAnswered: return []
        case .failed(let why):
            guard back.isReady else { return giveUp(Undelivered(.notDelivered, why.reason)) }
            guard let id = request.id else { return [] }
            return takeUp(request) ?? fail(id, request.isResumption ? Undelivered(.outcomeUnknown, why.reason) : why)
        case .refused(let status, let body):
            return refused(request, RemoteRefusal(status, body))
        }
    }

    /// Whether an exchange ended without its answer and without an answer of HTTP's, and what is known of its request then.
    func isUnanswered(_ request: RemoteRequest, _ how: RemotePost.End) -> Undelivered.Kind? {
        switch how {
        case .failed(let why) where !request.isAnswered: why.kind
        case .complete where !request.isAnswered && request.isStream && transport == .streamable: .outcomeUnknown
        default: nil
        }
    }

    private mutating func refused(_ request: RemoteRequest, _ refusal: RemoteRefusal) -> [Action] {
        if refusal.status == 404, id != nil, request.method != "initialize", back.era == .legacy, !request.isResumption {
            // It does not know the session any more.
            return startOver(with: request.id.flatMap { back.caller(of: $0) }, because: "the server ended the session")
        }
        guard let id = request.id else { return [] }
        if request.method == "initialize", refusal.mayBeOfOldTransport, transport == .streamable, let line = request.body {
            (lastStatus, lastAnswer) = (refusal.status, request.answerKind)
            transport = .awaitingEndpoint
            self.refusal = (id, Undelivered(.notDelivered, refusal.text))
            return write(line)
        }
        if refusal.isOfHTTP {
            (lastStatus, lastAnswer) = (refusal.status, request.answerKind)
            if !back.isReady, refusal.isFinal { return giveUp(Undelivered(.notDelivered, refusal.text)) }
        }
        if request.isResumption {
            return fail(id, Undelivered(.outcomeUnknown, "the server's stream ended, and cannot be taken up: HTTP \(refusal.status)"))
        }
        return fail(id, refusal.error ?? MCPError(Undelivered(refusal.mayHaveRun ? .outcomeUnknown : .notDelivered, refusal.text)))
    }

    private mutating func fail(_ id: Int, _ why: Undelivered) -> [Action] { fail(id, MCPError(why)) }

    private mutating func fail(_ id: Int, _ error: MCPError) -> [Action] {
        [.perform(back.received(line: JSONRPC.error(id: ByteBuffer(string: String(id)), error)))]
    }

    /// A server may close a call's stream and tell the rest later.
    ///
    /// - Returns: Nil where that cannot be tried.
    private func takeUp(_ request: RemoteRequest) -> [Action]? {
        let place = request.place.ended()
        guard back.era == .legacy, request.isStream || request.isResumption, request.method != "initialize", place.lastEventID != nil,
            place.ends <= Self.mostEmptyStreams + 1
        else { return nil }
        var again = RemoteRequest("GET", method: request.method, id: request.id)
        again.isResumption = true
        again.place = place
        return [.takeUp(again, after: place.wait(grows: false))]
    }
}
