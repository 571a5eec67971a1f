import JSONText
import NIOCore

/// What a session's own server asks outside of calls, on the session's stream, and what its client tells it so.
extension MCPFront {
    /// Asks the client of a session.
    func ask(_ message: ByteBuffer, _ envelope: Envelope, session id: String, context: CallContext) -> Demand {
        guard let params = envelope.params.map(message.slice), let required = InputRequired(result: params), let request = required.requests.first,
            let handle = required.state.flatMap({ JSONString.unquote(JSONSpan(start: 0, end: $0.readableBytes), in: $0.readableBytesSpan) })
        else { return .more }
        let question = SessionQuestions.Question(handle: handle, method: request.method, context: context, isStreams: true)
        guard sessions[id]?.isHeard == true else {
            answer(question, .failure(.internalError("the client has no stream open to be asked on")))
            return .more
        }
        let number = nextQuestion()
        change(session: id) { $0.questions.add(question, as: number) }
        return toStream(JSONRPC.request(id: number, request.method, params: request.params ?? ByteBuffer(string: "{}")), session: id)
    }

    /// Questions of a call that is over.
    func keep(_ kept: [Int: (request: InputRequest, handle: String)], session id: String, context: CallContext) {
        for (number, question) in kept {
            questions[number] = nil
            let question = SessionQuestions.Question(
                handle: question.handle, method: question.request.method, context: context, isStreams: false)
            change(session: id) { $0.questions.add(question, as: number) }
        }
    }

    /// The server does not wait any more.
    func withdraw(_ message: ByteBuffer, _ envelope: Envelope, session id: String) -> Demand {
        let text = message.readableBytesSpan
        guard let handle = envelope.requestState.flatMap({ JSONString.unquote($0, in: text) }), sessions[id] != nil else { return .more }
        var asked: Int?
        change(session: id) { asked = $0.questions.withdraw(handle: handle) }
        guard let number = asked else { return .more }
        let params: JSONValue = ["requestId": .number(String(number)), "reason": "the server does not wait for the answer any more"]
        return toStream(JSONRPC.notification("notifications/cancelled", params: params.buffer), session: id)
    }

    /// A client of a session answers such a question.
    ///
    /// - Returns: False when it is none.
    func answeredOutside(_ id: Int, _ result: Result<ByteBuffer, MCPError>, session: String) -> Bool {
        guard sessions[session] != nil else { return false }
        var asked: SessionQuestions.Question?
        change(session: session) { asked = $0.questions.take(id) }
        guard let question = asked else { return false }
        answer(question, result)
        return true
    }

    /// Nobody hears the session's stream any more: what was asked on it is refused, so that its server does not wait.
    func refuseUnheard(session id: String) {
        guard let session = sessions[id], !session.isHeard, !session.questions.isEmpty else { return }
        var left: [SessionQuestions.Question] = []
        change(session: id) { left = $0.questions.takeStreams() }
        for question in left { answer(question, .failure(.internalError("the client that was asked has gone"))) }
    }

    private func answer(_ question: SessionQuestions.Question, _ result: Result<ByteBuffer, MCPError>) {
        let response: ByteBuffer? =
            switch result {
            case .success(let result): result
            case .failure(let error): InputResponse.refusal(error, for: question.method, isOurs: true)
            }
        guard let response else { return }
        var request = SessionWords.answering(response, handle: question.handle)
        if request.handle == nil {
            // It could be read where it came, and not a few levels deeper.
            let refusal = InputResponse.refusal(.internalError("the client's answer is nested too deep"), for: question.method, isOurs: true)
            guard let refusal else { return }
            request = SessionWords.answering(refusal, handle: question.handle)
        }
        _ = service.call(request, in: question.context, sink: NoSink())
    }

    /// `notifications/roots/list_changed`: a server of the handshake revisions asks again; one of the modern revision asks in every call.
    func rootsChanged(session id: String, _ record: LegacySessionRecord, _ caller: FrontCaller) {
        guard settings.sessionsHaveServers else { return }
        let context = self.context(for: caller, session: id, declaring: record.declared)
        _ = service.call(MCPRequest(method: SessionWords.rootsChanged), in: context, sink: NoSink())
    }
}
