import JSONText
import NIOCore

/// A call whose server asks its client, where the client is of the handshake revisions: `input_required` becomes requests on the call's
/// stream, and their answers the next round. Where nobody can be asked, the server is told so.
extension FrontCall {
    /// Takes a result that asks for input.
    ///
    /// - Returns: The outcome to deliver, when it cannot be asked for; nil when the call goes on.
    func ask(_ required: InputRequired) -> MCPOutcome? {
        rounds += 1
        guard rounds <= InputRound.maximumRounds else { return Self.failed("the server asked for input more than \(InputRound.maximumRounds) times") }
        if let refused = required.requests.lazy.compactMap({ self.round?.refused[$0.key] }).first { return .error(refused) }
        let able = ClientCapabilities(context.clientCapabilities)
        if era == .legacy, streams, var refused = InputRequired.refusal(of: required.requests, by: able) {
            // These revisions have no code for it.
            refused.code = MCPError.Code.internalError
            return .error(refused)
        }
        var round = InputRound(required, able: able, number: front.nextQuestion)
        // There is nobody to ask: the server is told, so that it does not wait.
        if era == .modern { round.giveUp("the client cannot be asked in \(request.method)") }
        let asker = asker(of: required)
        if !streams || asker === self && exchange == nil && !awaitsReturn || isCancelled { round.giveUp("the client went away") }
        self.round = round
        asksThrough = asker === self ? nil : asker.number
        guard !round.isAnswered else {
            retry()
            return nil
        }
        for id in round.openIDs { front.questions[id] = number }
        asker.openStream()
        for message in round.messages { _ = asker.send(message) }
        if required.isPending, let wait = round.wait(of: request) {
            var context = context
            context.isWatch = true
            let watch = RoundWatch(self) { [service = front.service] in service.call(wait, in: context, sink: $0) }
            self.watch = watch
            watch.start()
        }
        return nil
    }

    /// On whose stream the client is asked. A question of a legacy server names no call: where nobody reads this one's stream, it is
    /// asked on the stream of the client's latest call that it reads, whose question it may well be.
    private func asker(of required: InputRequired) -> FrontCall {
        guard exchange == nil, required.isPending, let session else { return self }
        return front.calls(of: session).last { $0.isRead } ?? self
    }

    /// Somebody reads what is sent on its stream.
    private var isRead: Bool { exchange != nil && streams && !isFinished && !isCancelled }

    /// The server goes on without the answers: the client is not asked any more, and hears what became of the call.
    ///
    /// - Parameter isAnswered: it has answered the call, and has taken no question back.
    func settled(isAnswered: Bool) {
        guard call == nil, !isFinished, var round, !round.isAnswered else { return }
        if isAnswered, front.settings.sessionsHaveServers, let session, !isCancelled {
            // It may have asked beside its call: whoever is asked goes on being asked.
            front.keep(round.handOver(), session: session, context: context)
            self.round = round
            return retry()
        }
        let reason = "the server does not wait for the answer any more"
        takeBack(round, reason)
        round.giveUp(reason)
        self.round = round
        retry()
    }

    /// The server is gone, with the call that it asked for, or waits no longer for a client that does not answer.
    func lost(_ why: Undelivered) {
        guard call == nil, !isFinished, let round, !round.isAnswered else { return }
        takeBack(round, why.reason)
        self.round = nil
        watch = nil
        finish(.failed(why))
    }

    private func takeBack(_ round: InputRound, _ reason: String) {
        let asker = asksThrough.flatMap { front.calls[$0] } ?? self
        for id in round.openIDs {
            front.questions[id] = nil
            let params: JSONValue = ["requestId": .number(String(id)), "reason": .string(reason)]
            _ = asker.send(JSONRPC.notification("notifications/cancelled", params: params.buffer))
        }
    }

    /// The client answered one of our requests.
    func answered(_ id: Int, _ answer: Result<ByteBuffer, MCPError>) {
        guard round?.answer(id, answer) == true else { return }
        front.questions[id] = nil
        if round?.isAnswered == true { retry() }
    }

    /// The client went away, or cancelled, in the middle of a question: its server must not wait for the answer.
    func abandonRound() {
        guard call == nil, var round, !round.isAnswered else { return }
        for id in round.openIDs { front.questions[id] = nil }
        round.giveUp("the client went away")
        self.round = round
        retry()
    }

    /// The session is over, and its server with it: in the middle of a question nobody is left to be told anything.
    func forgetRound() {
        guard call == nil, let round, !round.isAnswered else { return }
        for id in round.openIDs { front.questions[id] = nil }
        self.round = nil
        watch?.end()
        watch = nil
        finish(.failed(Undelivered(.outcomeUnknown, "the session has ended")))
    }

    private func retry() {
        guard let round, !isFinished else { return }
        watch?.end()
        watch = nil
        guard let again = round.retry(of: request) else {
            // What its server could not be told ends the call, since without that it would run anew.
            let unsaid = round.refused.min { $0.key < $1.key }.flatMap { round.hasResponses ? nil : MCPOutcome.error($0.value) }
            return finish(unsaid ?? Self.failed("the request would be too large with the answers"))
        }
        run(again)
    }

    private static func failed(_ reason: String) -> MCPOutcome { .error(.internalError(reason)) }
}
