import JSONText
import NIOCore

/// A call whose server asks its client, where the client is of the handshake revisions: `input_required` becomes requests on the call's
/// stream, and their answers the next round.
extension FrontCall {
    /// Takes a result that asks for input.
    ///
    /// - Returns: The outcome to deliver, when it cannot be asked for; nil when the call goes on.
    func ask(_ required: InputRequired) -> MCPOutcome? {
        rounds += 1
        guard rounds <= InputRound.maximumRounds else { return Self.failed("the server asked for input more than \(InputRound.maximumRounds) times") }
        if let refused = required.requests.lazy.compactMap({ self.round?.refused[$0.key] }).first { return .error(refused) }
        guard streams, exchange != nil, !isCancelled else {
            // There is nobody to ask: the server is told, so that it does not wait.
            var round = InputRound(required, number: front.nextQuestion)
            round.giveUp()
            self.round = round
            retry()
            return nil
        }
        let round = InputRound(required, number: front.nextQuestion)
        self.round = round
        guard !round.isAnswered else {
            retry()
            return nil
        }
        for id in round.openIDs { front.questions[id] = number }
        openStream()
        for message in round.messages { _ = exchange?.event(message, id: nil) }
        return nil
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
        round.giveUp()
        self.round = round
        retry()
    }

    private func retry() {
        guard let round, !isFinished else { return }
        let again = front.service.call(round.retry(of: request), in: context, sink: self)
        started(again)
    }

    private static func failed(_ reason: String) -> MCPOutcome { .error(.internalError(reason)) }
}
