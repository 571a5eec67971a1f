public import NIOCore
public import Wire

/// Answers one exchange from a task of its own; may be used from any task.
public final class ExchangeWriter: Sendable {
    private let loop: any EventLoop
    private let state: NIOLoopBound<State>

    /// On the exchange's loop. The task that runs `body` is cancelled when the client goes away, when the server drains, and
    /// by ``revoke()``.
    @discardableResult
    public static func answer(_ exchange: ServerExchange, _ body: @escaping @Sendable (ExchangeWriter) async -> Void) -> ExchangeWriter {
        let state = State(exchange)
        let writer = ExchangeWriter(state)
        state.task = Task { await body(writer) }
        return writer
    }

    private init(_ state: State) {
        loop = state.exchange.eventLoop
        self.state = NIOLoopBound(state, eventLoop: loop)
    }

    /// Answers as a whole. `content-length` is not needed.
    public func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) async {
        await onLoop { state in
            state.isAnswered = true
            state.exchange.reply(status: status, headers: headers, body: body)
        }
    }

    /// Begins a body that comes in pieces.
    public func open(status: Int, headers: [(String, String)]) async {
        await onLoop { $0.open(status: status, headers: headers) }
    }

    /// Writes a piece of the body; returns when the client can take more.
    ///
    /// - Throws: `CancellationError` when the client is gone, or when it would have to be waited for while the server drains.
    public func write(_ piece: ByteBuffer) async throws {
        try await loop.flatSubmit { [state] in state.value.write(piece) }.get()
    }

    /// Ends the body in order; what was not answered at all is answered with status 500.
    public func finish() async {
        await onLoop { $0.finish() }
    }

    /// Nobody will finish this answer: what was sent is visibly incomplete.
    public func cut() {
        loop.execute { [state] in state.value.exchange.abort() }
    }

    /// Nobody writes any more: a body without an end is cut, and what was not answered at all is answered with status 500.
    public func abandon() async {
        await onLoop { $0.abandon() }
    }

    /// Who asked may not ask any more: a body in pieces is cut, now or when it begins. A whole answer still goes out, since
    /// what it tells of was asked for in time, and may be the very revocation.
    public func revoke() {
        loop.execute { [state] in state.value.revoke() }
    }

    private func onLoop(_ body: @escaping @Sendable (State) -> Void) async {
        try? await loop.submit { [state] in body(state.value) }.get()
    }
}

/// The loop's side of an ``ExchangeWriter``.
private final class State {
    let exchange: ServerExchange
    var task: Task<Void, Never>?
    var isAnswered = false
    /// Nothing is waited for any more.
    private var isStopped = false
    private var isRevoked = false
    /// Of a writer that is ahead of the client.
    private var waiting: EventLoopPromise<Void>?

    init(_ exchange: ServerExchange) {
        self.exchange = exchange
        exchange.onClientGone = { [weak self] in self?.stop() }
        // What follows a log would never end by itself.
        exchange.onDrain = { [weak self] in self?.stop() }
        exchange.onResume = { [weak self] in self?.takeWaiting()?.succeed() }
    }

    func open(status: Int, headers: [(String, String)]) {
        isAnswered = true
        exchange.openBody(status: status, headers: headers)
        if isRevoked { revoke() }
    }

    func write(_ piece: ByteBuffer) -> EventLoopFuture<Void> {
        guard !exchange.isFinished else { return exchange.eventLoop.makeFailedFuture(CancellationError()) }
        guard !exchange.write(piece) else { return exchange.eventLoop.makeSucceededVoidFuture() }
        // The write itself may have found the client gone, and told so before there was anything to let go of.
        guard !exchange.isFinished, !isStopped else { return exchange.eventLoop.makeFailedFuture(CancellationError()) }
        let promise = waiting ?? exchange.eventLoop.makePromise(of: Void.self)
        waiting = promise
        return promise.futureResult
    }

    func finish() {
        guard !exchange.isFinished else { return }
        if isAnswered { return exchange.closeStream() }
        exchange.reply(
            status: 500, headers: [("content-type", "application/json")],
            body: ByteBuffer(string: #"{"error":"internal","message":"the request was not answered"}"#))
    }

    func abandon() {
        if isAnswered { exchange.abort() } else { finish() }
    }

    func revoke() {
        isRevoked = true
        guard isAnswered else { return }
        exchange.abort()
        stop()
    }

    private func stop() {
        isStopped = true
        task?.cancel()
        takeWaiting()?.fail(CancellationError())
    }

    private func takeWaiting() -> EventLoopPromise<Void>? {
        defer { waiting = nil }
        return waiting
    }
}
