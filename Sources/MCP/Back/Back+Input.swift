import JSONText
import NIOCore

/// Questions of a legacy child to its client, across rounds of the modern dialect (`docs/translation.md`, cells A and C).
extension Back {
    /// The child asks. The call it asks for ends with `input_required`; a question that no caller declared to answer is refused, so that
    /// the child does not wait.
    ///
    /// Where several calls of one client are open the question is the oldest one's: it reaches the same client under any of them. Where
    /// they are several clients', it is refused.
    mutating func asked(_ envelope: Envelope, _ message: ByteBuffer) -> [BackAction] {
        let id = envelope.id.map { message.copy($0) } ?? ByteBuffer(string: "null")
        let method = envelope.method ?? ""
        let params = envelope.params.map { message.copy($0) }
        guard canAsk, case .legacy = phase, let needed = ClientCapabilities.needed(for: method, params: params) else {
            return refused(id, .methodNotFound(method))
        }
        let found: (id: Int, entry: Correlator.Entry)?
        do throws(MCPError) {
            found = try correlator.addressee(of: needed)
        } catch {
            return refused(id, error)
        }
        guard params != nil || method == "roots/list" else { return refused(id, .invalidParams("params is missing")) }
        guard suspensions.hasRoom(for: params, of: id) else { return refused(id, .internalError("too much waits for the client's answers")) }
        guard let call = found else {
            let request = InputRequest(key: SessionWords.key, method: method, params: params)
            return askedOutside(request, needs: needed, id: id) ?? refused(id, .methodNotFound(method))
        }
        questions += 1
        let question = Suspensions.Question(
            id: id, request: InputRequest(key: "q\(questions)", method: method, params: params), candidates: correlator.openIDs)
        if let handle = suspensions.handle(of: call.id) {
            // It is asked with the next round.
            guard suspensions.add(question, to: handle) else { return refused(id, .internalError("too many questions in one call")) }
            return []
        }
        guard !suspensions.isFull, let caller = correlator.detach(id: call.id) else {
            return refused(id, .internalError("too many questions wait for their clients"))
        }
        let entry = Suspensions.Entry(
            id: call.id, method: call.entry.method, target: call.entry.target, arguments: Suspensions.fingerprint(call.entry.arguments),
            client: ClientName(call.entry.clientInfo), questions: [question])
        return suspend(entry, for: caller)
    }

    /// The child's request is answered with an error.
    mutating func refused(_ id: ByteBuffer, _ error: MCPError) -> [BackAction] {
        counters.refusedRequests += 1
        return [.write(JSONRPC.error(id: id, error).asLine())]
    }

    private mutating func suspend(_ entry: Suspensions.Entry, for call: CallID) -> [BackAction] {
        let handle = makeHandle()
        var entry = entry
        for index in entry.questions.indices { entry.questions[index].isNew = false }
        suspensions.put(entry, under: handle)
        let required = InputRequired(
            requests: entry.questions.map(\.request), state: ByteBuffer(bytes: JSONString.quote(handle)), isPending: true)
        return [.finish(call, .result(required.result)), .armTimer(.input(handle), seconds: inputSeconds)]
    }

    /// A request that comes again with answers: hands them to the child, and the call to its new caller.
    mutating func resume(_ request: MCPRequest, call: CallID) -> [BackAction] {
        guard let (handle, found) = suspended(request) else { return [.finish(call, .error(Self.unknownState))] }
        let responses = request.inputResponses
        if responses[PendingCall.wait] != nil { return wait(call, for: found, handle) }
        guard var entry = suspensions.take(handle) else { return [.finish(call, .error(Self.unknownState))] }
        var actions: [BackAction] = [.disarmTimer(.input(handle))] + settled(entry.watcher)
        entry.watcher = nil
        var open: [Suspensions.Question] = []
        for question in entry.questions {
            guard let response = responses[question.request.key], InputResponse.isValid(response, for: question.request.method) else {
                open.append(question)
                continue
            }
            let answer =
                InputResponse.error(response).map { JSONRPC.error(id: question.id, $0) } ?? JSONRPC.response(id: question.id, result: response)
            actions.append(.write(answer.asLine()))
        }
        if let outcome = entry.outcome {
            // It did without the rest, unless they are of no call and stay with the client.
            actions += keep(&open, responses[SessionWords.keep])
            return actions + asked(afterwards: open) + [.finish(call, outcome)]
        }
        // A question names no call. What came meanwhile for none of this client's in particular is asked with this one.
        entry.client = ClientName(request.envelope.clientInfo.map(request.slice))
        open += suspensions.takeNew(
            upTo: InputRequired.maximumCount - open.count, by: ClientCapabilities(request.envelope.clientCapabilities.map(request.slice)),
            of: entry.client)
        entry.questions = open
        if !open.isEmpty { return actions + suspend(entry, for: call) }
        correlator.attach(id: entry.id, call, request)
        return actions
    }

    static let unknownState = MCPError.invalidParams(
        "requestState is unknown, was used before, has expired, or belongs to another request")

    /// Somebody wants to hear when a call that waits needs its answers no more.
    private mutating func wait(_ call: CallID, for entry: Suspensions.Entry, _ handle: String) -> [BackAction] {
        if entry.hasNothingToAsk { return settled(call) }
        if entry.isSettled({ correlator[$0] != nil }) { return [.finish(call, PendingCall.answered)] }
        guard suspensions.watch(handle, by: call) else { return [.finish(call, .error(.internalError("another one waits for this already")))] }
        return []
    }

    /// A call of the child's is over. A question names no call: while another one is open that it could be of, it is waited for.
    mutating func settledByEnd() -> [BackAction] {
        suspensions.takeSettledWatchers { correlator[$0] != nil }.map { .finish($0, PendingCall.answered) }
    }

    /// Tells who waited for it, if anybody did.
    func settled(_ watcher: CallID?) -> [BackAction] { watcher.map { [.finish($0, PendingCall.settled)] } ?? [] }

    /// The process says no more. Calls that it had answered beside their questions have their answers still: whoever waits is told, and
    /// comes for them. Of the others nothing is left to wait for; who does is the shell's to tell, like everybody whose call is lost.
    public mutating func processEnded() -> (kept: KeptAnswers, actions: [BackAction]) {
        // Whoever was asked outside of calls would answer to nobody.
        let asked = suspensions.questionHandles.flatMap { withdrawn($0) }
        let (kept, watchers, handles) = suspensions.end()
        return (kept, handles.map { .disarmTimer(.input($0)) } + watchers.flatMap { settled($0) } + asked)
    }

    /// Whether this request comes back for a call that waits here: only this process knows of it.
    public func awaits(_ request: MCPRequest) -> Bool {
        guard suspensions.count > 0 else { return false }
        if request.method == SessionWords.answer { return request.handle.map(suspensions.holds) ?? false }
        return suspended(request) != nil
    }

    /// The call that this request comes back for.
    func suspended(_ request: MCPRequest) -> (handle: String, entry: Suspensions.Entry)? {
        guard let handle = request.handle, let found = suspensions.peek(handle),
            request.says(found.method, of: found.target, with: found.arguments)
        else { return nil }
        return (handle, found)
    }

    /// Nobody came back with answers: the child's questions fail and its call is cancelled.
    mutating func inputExpired(_ handle: String) -> [BackAction] {
        guard var entry = suspensions.take(handle) else { return questionExpired(handle) }
        var actions = entry.questions.map { question -> BackAction in
            .write(JSONRPC.error(id: question.id, .internalError("the client did not answer in time")).asLine())
        }
        if entry.outcome == nil, correlator.close(id: entry.id) != nil { actions.append(.write(Self.cancelled(entry.id))) }
        if let watcher = entry.watcher {
            if entry.outcome != nil {
                // Its answer is there, for the round that follows now.
                (entry.questions, entry.watcher) = ([], nil)
                suspensions.put(entry, under: handle)
                actions += [.armTimer(.input(handle), seconds: inputSeconds)] + settled(watcher)
            } else {
                let why = "the client did not answer the server's question in time"
                actions.append(.finish(watcher, .failed(Undelivered(.outcomeUnknown, why))))
            }
        }
        return actions + settledByEnd()
    }

    /// The conversation is over: nothing waits any more.
    mutating func endSuspensions(_ reason: String) -> [BackAction] {
        let timers = suspensions.allHandles.map { BackAction.disarmTimer(.input($0)) }
        return timers + suspensions.removeAll().map { .finish($0, .failed(Undelivered(.outcomeUnknown, reason))) }
    }

    static func cancelled(_ id: Int) -> ByteBuffer {
        let params = ByteBuffer(string: #"{"requestId":\#(id),"reason":"the caller cancelled"}"#)
        return JSONRPC.notification("notifications/cancelled", params: params).asLine()
    }
}

extension MCPRequest {
    /// What a request acts on.
    var target: String? { name ?? uri }

    /// `params.requestState`: what a call that waits for its client is found by.
    var handle: String? { envelope.requestState.flatMap { JSONString.unquote($0, in: message.readableBytesSpan) } }

    /// Whether it is that call again: whoever comes back must say the same.
    func says(_ method: String, of target: String?, with arguments: Int) -> Bool {
        self.method == method && self.target == target && Suspensions.fingerprint(self.arguments) == arguments
    }

    /// `params.inputResponses` by key, as texts.
    var inputResponses: [String: ByteBuffer] {
        guard let span = envelope.inputResponses else { return [:] }
        let text = message.readableBytesSpan
        var responses: [String: ByteBuffer] = [:]
        var members = JSONMembers(of: span)
        // The message was scanned, so walking it again cannot fail half-way. What is beyond any question is not looked at.
        while responses.count < 4 * InputRequired.maximumCount, let member = try? members.next(in: text) {
            if let key = member.keyString(in: text) { responses[key] = message.copy(member.value) }
        }
        return responses
    }
}
