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
        let isServers = envelope.method?.hasPrefix(SessionWords.prefix) == false
        guard isServers, let session else {
            let isKept = isServers && isOneSessions && listens.all.isEmpty && unheard.keep(message)
            if !isKept { counters.droppedNotifications += 1 }
            return []
        }
        return session.wants(envelope) ? [.notify(session.call, message)] : []
    }

    /// The child asks while no call is open.
    ///
    /// - Returns: Nil when the session's client did not declare that it can be asked that, or there is none.
    mutating func askedOutside(_ request: InputRequest, needs needed: ClientCapabilities, id: ByteBuffer) -> [BackAction]? {
        guard isOneSessions, correlator.openIDs.isEmpty, ClientCapabilities(client.capabilities).isSuperset(of: needed) else { return nil }
        if let session, !session.able.isSuperset(of: needed) { return nil }
        guard !suspensions.isFull else { return refused(id, .internalError("too many questions wait for the client")) }
        let handle = makeHandle()
        let asking = SessionWords.asking(request, handle: handle)
        // Its reader would lose it without a word.
        guard (try? EnvelopeScanner.scan(asking.readableBytesSpan, limits: limits)) != nil else {
            return refused(id, .invalidParams("params is nested too deep or too long"))
        }
        suspensions.put(Suspensions.Question(id: id, request: request, candidates: []), under: handle)
        guard let session else {
            // Its client may be about to listen: a server that asks as soon as it is initialized is faster than that.
            unheard.questions.append((handle, asking, needed))
            return [.armTimer(.input(handle), seconds: Unheard.patience)]
        }
        // Who hears it may answer at once.
        return [.armTimer(.input(handle), seconds: inputSeconds), .notify(session.call, asking)]
    }

    /// A session listens: what the child said and asked before it did.
    mutating func heard() -> [BackAction] {
        guard let session else { return [] }
        let (messages, questions) = unheard.take()
        var actions: [BackAction] = []
        for message in messages {
            guard let envelope = try? EnvelopeScanner.scan(message.readableBytesSpan, limits: limits), session.wants(envelope) else { continue }
            actions.append(.notify(session.call, message))
        }
        for (handle, asking, needed) in questions {
            if session.able.isSuperset(of: needed) {
                actions += [.armTimer(.input(handle), seconds: inputSeconds), .notify(session.call, asking)]
            } else if let question = suspensions.takeQuestion(handle) {
                actions += [.disarmTimer(.input(handle))] + refused(question.id, .methodNotFound(question.request.method))
            }
        }
        return actions
    }

    /// Questions that came beside a call's own, and that nobody was asked before the call was over.
    mutating func asked(afterwards questions: [Suspensions.Question]) -> [BackAction] {
        questions.flatMap { question in
            if question.isNew, let needed = ClientCapabilities.needed(for: question.request.method, params: question.request.params),
                let actions = askedOutside(question.request, needs: needed, id: question.id)
            {
                return actions
            }
            let why = question.isNew ? "the call ended before its client could be asked" : "the client did not answer"
            return [.write(JSONRPC.error(id: question.id, .internalError(why)).asLine())]
        }
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
        case SessionWords.rootsChanged where isOneSessions: return [.write(JSONRPC.notification(SessionWords.rootsNotification).asLine()), done]
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
        if unheard.forget(handle) {
            hasRefusedUnheard = true
            return refused(question.id, .internalError("no call is open, and no stream, on which the client could be asked"))
        }
        return [.write(JSONRPC.error(id: question.id, .internalError("the client did not answer in time")).asLine())] + withdrawn(handle)
    }

    /// The child took a question of its own back.
    mutating func withdrew(_ id: ByteBuffer) -> [BackAction]? {
        guard let handle = suspensions.handle(ofQuestion: id), suspensions.takeQuestion(handle) != nil else { return nil }
        return [.disarmTimer(.input(handle))] + (unheard.forget(handle) ? [] : withdrawn(handle))
    }

    func withdrawn(_ handle: String) -> [BackAction] {
        session.map { [.notify($0.call, SessionWords.withdrawing(handle: handle))] } ?? []
    }
}
