import NIOCore

/// A subscription of a modern client: the service's sink on one side, a stream that stays open on the other.
final class FrontListen: MCPSink {
    private let request: MCPRequest
    private var exchange: (any FrontExchange)?
    private var call: (any MCPCall)?
    private var isStreaming = false
    private var gate: SubscriptionGate
    private var ended: (() -> Void)?

    /// - Parameter ended: called once, when nothing more comes.
    init(_ request: MCPRequest, exchange: any FrontExchange, ended: @escaping () -> Void) {
        self.request = request
        gate = SubscriptionGate((try? ListenFilter(request)) ?? ListenFilter())
        self.exchange = exchange
        self.ended = ended
        exchange.onClientGone = { [weak self] in self?.clientGone() }
        exchange.onResume = { [weak self] in self?.call?.resume() }
    }

    func started(_ call: any MCPCall) {
        guard ended != nil else { return }
        self.call = call
    }

    func notification(_ message: ByteBuffer) -> Demand {
        var demand = Demand.more
        for message in gate.pass(message) {
            guard let exchange else { return .more }
            isStreaming = true
            if exchange.event(message, id: nil) == .pause { demand = .pause }
        }
        // The write itself may have found the client gone; nobody would say when to go on.
        return self.exchange == nil ? .more : demand
    }

    func finish(_ outcome: consuming MCPOutcome) {
        let id = request.id ?? ByteBuffer(string: "null")
        switch outcome {
        case .result(let result): close(with: JSONRPC.response(id: id, result: result))
        case .error(let error): close(with: JSONRPC.error(id: id, error), status: ModernLadder.status(error))
        // A stream that was promised ends in order: its client opens another when it wants to hear more.
        case .failed(let why):
            close(with: isStreaming ? JSONRPC.response(id: id, result: Subscription.ended(id: id)) : JSONRPC.error(id: id, MCPError(why)))
        }
    }

    /// The endpoint is going away.
    func end() {
        let id = request.id ?? ByteBuffer(string: "null")
        let call = call
        close(with: JSONRPC.response(id: id, result: Subscription.ended(id: id)))
        call?.cancel()
    }

    private func close(with message: ByteBuffer, status: Int = 200) {
        let exchange = exchange
        tellEnded()
        if isStreaming {
            _ = exchange?.event(message, id: nil)
            exchange?.closeStream()
        } else {
            exchange?.reply(status: status, headers: MCPFront.jsonHeaders, body: message)
        }
    }

    private func clientGone() {
        let call = call
        tellEnded()
        call?.cancel()
    }

    private func tellEnded() {
        exchange = nil
        call = nil
        let callback = ended
        ended = nil
        callback?()
    }
}
