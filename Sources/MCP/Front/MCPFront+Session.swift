import JSONText
import NIOCore

/// What a session's own server asks outside of calls, on the session's stream, and what its client tells it so.
extension MCPFront {
    /// One question that waits for the client.
    struct SessionQuestion {
        var session: String
        /// What the answer is found by at the server's side.
        var handle: String
        var method: String
        var context: CallContext
    }

    /// Asks the client of a session.
    func ask(_ message: ByteBuffer, _ envelope: Envelope, session id: String, context: CallContext) {
        guard let params = envelope.params.map(message.slice), let required = InputRequired(result: params), let request = required.requests.first,
            let handle = required.state.flatMap({ JSONString.unquote(JSONSpan(start: 0, end: $0.readableBytes), in: $0.readableBytesSpan) })
        else { return }
        let number = nextQuestion()
        let question = SessionQuestion(session: id, handle: handle, method: request.method, context: context)
        guard sessions[id]?.stream != nil || sessions[id]?.history.isEmpty == false else {
            return answer(question, .failure(.internalError("the client has no stream open to be asked on")))
        }
        // A server that dies over its questions withdraws none of them.
        let open = sessionQuestions.filter { $0.value.session == id }.keys
        if open.count >= Suspensions.limit, let oldest = open.min() { sessionQuestions[oldest] = nil }
        sessionQuestions[number] = question
        _ = toStream(JSONRPC.request(id: number, request.method, params: request.params ?? ByteBuffer(string: "{}")), session: id)
    }

    /// Questions of a call that is over.
    func keep(_ kept: [Int: (request: InputRequest, handle: String)], session id: String, context: CallContext) {
        for (number, question) in kept {
            questions[number] = nil
            sessionQuestions[number] = SessionQuestion(session: id, handle: question.handle, method: question.request.method, context: context)
        }
    }

    /// The server does not wait any more.
    func withdraw(_ message: ByteBuffer, _ envelope: Envelope, session id: String) {
        let text = message.readableBytesSpan
        guard let handle = envelope.requestState.flatMap({ JSONString.unquote($0, in: text) }),
            let number = sessionQuestions.first(where: { $0.value.handle == handle && $0.value.session == id })?.key
        else { return }
        sessionQuestions[number] = nil
        let params: JSONValue = ["requestId": .number(String(number)), "reason": "the server does not wait for the answer any more"]
        _ = toStream(JSONRPC.notification("notifications/cancelled", params: params.buffer), session: id)
    }

    /// A client of a session answers such a question.
    ///
    /// - Returns: False when it is none.
    func answeredOutside(_ id: Int, _ result: Result<ByteBuffer, MCPError>, session: String) -> Bool {
        guard let question = sessionQuestions[id], question.session == session else { return false }
        sessionQuestions[id] = nil
        answer(question, result)
        return true
    }

    private func answer(_ question: SessionQuestion, _ result: Result<ByteBuffer, MCPError>) {
        let response: ByteBuffer? =
            switch result {
            case .success(let result): result
            case .failure(let error): InputResponse.refusal(error, for: question.method, isOurs: true)
            }
        guard let response else { return }
        _ = service.call(SessionWords.answering(response, handle: question.handle), in: question.context, sink: NoSink())
    }

    /// `notifications/roots/list_changed`: a server of the handshake revisions asks again; one of the modern revision asks in every call.
    func rootsChanged(session id: String, _ record: LegacySessionRecord, _ caller: FrontCaller) {
        guard settings.sessionsHaveServers else { return }
        let context = self.context(for: caller, session: id, declaring: record.declared)
        _ = service.call(MCPRequest(method: SessionWords.rootsChanged), in: context, sink: NoSink())
    }
}
