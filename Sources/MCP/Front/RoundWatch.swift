import NIOCore

/// Waits, while a client is asked, for its server to need no answer any more.
final class RoundWatch: MCPSink {
    private weak var asking: FrontCall?
    private var call: (any MCPCall)?
    /// Begins another wait like this one; nil while the second is under way.
    private var again: ((RoundWatch) -> any MCPCall)?
    /// Why the first wait ended without a word of its server.
    private var first: Undelivered?

    /// - Parameter wait: begins a wait whose end this hears.
    init(_ asking: FrontCall, wait: @escaping (RoundWatch) -> any MCPCall) {
        self.asking = asking
        again = wait
    }

    func start() { start(again) }

    private func start(_ wait: ((RoundWatch) -> any MCPCall)?) {
        let call = wait?(self)
        // It may be over before it is returned.
        if asking != nil, self.call == nil { self.call = call }
    }

    func notification(_ message: ByteBuffer) -> Demand { .more }

    /// Where the wait itself could not be had, the client's answers are waited for all the same.
    func finish(_ outcome: consuming MCPOutcome) {
        call = nil
        // The way to the server may have broken off, and not the server: then the same wait goes on over another one.
        if case .failed(let why) = outcome, why.kind == .outcomeUnknown, first == nil, asking != nil {
            first = why
            let wait = again
            again = nil
            return start(wait)
        }
        let told = asking
        asking = nil
        again = nil
        switch outcome {
        case .result(let result):
            if let isAnswered = PendingCall.isAnswered(result) { told?.settled(isAnswered: isAnswered) }
        case .failed(let why) where first != nil || why.kind == .outcomeUnknown: told?.lost(first ?? why)
        // The server's end was quicker than the wait.
        case .error(let error) where error.code == MCPError.Code.invalidParams:
            told?.lost(first ?? Undelivered(.outcomeUnknown, "the call ended at its server while the client was asked"))
        case .error, .failed: break
        }
    }

    /// The round is over.
    func end() {
        asking = nil
        again = nil
        let running = call
        call = nil
        running?.cancel()
    }
}
