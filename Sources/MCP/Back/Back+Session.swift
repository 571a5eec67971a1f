import JSONText
import NIOCore

/// What a legacy child that is one session's own says and asks outside of calls, and what its client tells it so.
extension Back {
    /// The one session that hears what the child says by itself: with several nobody knows whose it is.
    private var session: LegacyListens.Listen? {
        let sessions = listens.all.filter(\.hearsAll)
        return sessions.count == 1 ? sessions[0] : nil
    }

    /// Something that belongs to no call that is known.
    mutating func said(_ envelope: Envelope, _ message: ByteBuffer) -> [BackAction] {
        guard let session, envelope.method?.hasPrefix(SessionWords.prefix) == false else {
            counters.droppedNotifications += 1
            return []
        }
        return [.notify(session.call, message)]
    }

    /// The child asks while no call is open.
    ///
    /// - Returns: Nil when the session's client did not declare that it can be asked that, or there is none.
    mutating func askedOutside(_ request: InputRequest, needs needed: ClientCapabilities, id: ByteBuffer) -> [BackAction]? {
        guard correlator.openIDs.isEmpty, ClientCapabilities(client.capabilities).isSuperset(of: needed) else { return nil }
        guard let session else { return refused(id, .internalError("the client has no stream open to be asked on")) }
        guard session.able.isSuperset(of: needed) else { return nil }
        guard !suspensions.isFull else { return refused(id, .internalError("too many questions wait for the client")) }
        let handle = makeHandle()
        suspensions.put(Suspensions.Question(id: id, request: request, candidates: []), under: handle)
        return [.notify(session.call, SessionWords.asking(request, handle: handle)), .armTimer(.input(handle), seconds: inputSeconds)]
    }

    /// Questions whose call is over, and which stay with the session's client under the handles that it names.
    mutating func keep(_ open: inout [Suspensions.Question], _ handles: ByteBuffer?) -> [BackAction] {
        guard canAsk, let handles, let named = try? JSONValue(parsing: handles.readableBytesSpan) else { return [] }
        var actions: [BackAction] = []
        open.removeAll { question in
            guard let handle = named[question.request.key]?.stringValue, !suspensions.isFull else { return false }
            suspensions.put(question, under: handle)
            actions.append(.armTimer(.input(handle), seconds: inputSeconds))
            return true
        }
        return actions
    }

    /// A word of the session's for the child. Nobody waits for what comes of it.
    mutating func told(_ request: MCPRequest, call: CallID) -> [BackAction] {
        let done = BackAction.finish(call, .result(ByteBuffer(string: "{}")))
        guard case .legacy = phase else { return [done] }
        switch request.method {
        case SessionWords.rootsChanged: return [.write(JSONRPC.notification(SessionWords.rootsNotification).asLine()), done]
        case SessionWords.answer:
            guard let handle = request.handle, let question = suspensions.takeQuestion(handle) else { return [done] }
            return [.disarmTimer(.input(handle)), .write(answer(to: question, request.inputResponses[SessionWords.key]).asLine()), done]
        default: return [done]
        }
    }

    private func answer(to question: Suspensions.Question, _ response: ByteBuffer?) -> ByteBuffer {
        guard let response, InputResponse.isValid(response, for: question.request.method) else {
            return JSONRPC.error(id: question.id, .internalError("the client's answer is not acceptable"))
        }
        return InputResponse.error(response).map { JSONRPC.error(id: question.id, $0) } ?? JSONRPC.response(id: question.id, result: response)
    }

    /// Nobody answered in time.
    mutating func questionExpired(_ handle: String) -> [BackAction] {
        guard let question = suspensions.takeQuestion(handle) else { return [] }
        let error = MCPError.internalError("the client did not answer in time")
        return [.write(JSONRPC.error(id: question.id, error).asLine())] + withdrawn(handle)
    }

    /// The child took a question of its own back.
    mutating func withdrew(_ id: ByteBuffer) -> [BackAction]? {
        guard let handle = suspensions.handle(ofQuestion: id), suspensions.takeQuestion(handle) != nil else { return nil }
        return [.disarmTimer(.input(handle))] + withdrawn(handle)
    }

    private func withdrawn(_ handle: String) -> [BackAction] {
        session.map { [.notify($0.call, SessionWords.withdrawing(handle: handle))] } ?? []
    }
}
