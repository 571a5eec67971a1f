import NIOCore

/// Waits, while a client is asked, for its server to need no answer any more.
final class RoundWatch: MCPSink {
    private weak var asking: FrontCall?
    private var call: (any MCPCall)?

    init(_ asking: FrontCall) {
        self.asking = asking
    }

    func started(_ call: any MCPCall) {
        if asking != nil { self.call = call }
    }

    func notification(_ message: ByteBuffer) -> Demand { .more }

    /// Where the wait itself could not be had, the client's answers are waited for all the same.
    func finish(_ outcome: consuming MCPOutcome) {
        let told = asking
        asking = nil
        call = nil
        switch outcome {
        case .result(let result) where PendingCall.isSettled(result): told?.settled()
        case .failed(let why) where why.kind == .outcomeUnknown: told?.lost(why)
        // The server's end was quicker than the wait.
        case .error(let error) where error.code == MCPError.Code.invalidParams:
            told?.lost(Undelivered(.outcomeUnknown, "the call ended at its server while the client was asked"))
        case .result, .error, .failed: break
        }
    }

    /// The round is over.
    func end() {
        asking = nil
        let running = call
        call = nil
        running?.cancel()
    }
}
