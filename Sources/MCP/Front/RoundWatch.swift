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

    /// Any other end than the one that is waited for says nothing: the client's answers are waited for all the same.
    func finish(_ outcome: consuming MCPOutcome) {
        let told = asking
        asking = nil
        call = nil
        guard case .result(let result) = outcome, PendingCall.isSettled(result) else { return }
        told?.settled()
    }

    /// The round is over.
    func end() {
        asking = nil
        let running = call
        call = nil
        running?.cancel()
    }
}
