public import NIOCore
import Wire

/// Answers one control request; may be used from any task.
public final class ControlWriter: Sendable {
    private let exchange: NIOLoopBound<ControlExchange>
    private let eventLoop: any EventLoop

    init(_ exchange: ControlExchange, eventLoop: any EventLoop) {
        self.exchange = NIOLoopBound(exchange, eventLoop: eventLoop)
        self.eventLoop = eventLoop
    }

    /// Answers as a whole. `content-length` is not needed.
    public func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) async {
        await onLoop { $0.reply(status: status, headers: headers, body: body) }
    }

    /// Begins a body that comes in pieces.
    public func open(status: Int, headers: [(String, String)]) async {
        await onLoop { $0.open(status: status, headers: headers) }
    }

    /// Writes a piece of the body; returns when the client can take more.
    ///
    /// - Throws: `CancellationError` when the client is gone.
    public func write(_ piece: ByteBuffer) async throws {
        try await eventLoop.flatSubmit { [exchange] in exchange.value.write(piece) }.get()
    }

    /// Ends the body.
    public func finish() async {
        await onLoop { $0.finish() }
    }

    private func onLoop(_ body: @escaping @Sendable (ControlExchange) -> Void) async {
        try? await eventLoop.submit { [exchange] in body(exchange.value) }.get()
    }
}

/// The loop's side of a ``ControlWriter``.
final class ControlExchange {
    private let exchange: ServerExchange
    private var task: Task<Void, Never>?
    private var waiting: EventLoopPromise<Void>?
    private var isAnswered = false
    private var isGone = false

    init(_ exchange: ServerExchange) {
        self.exchange = exchange
        exchange.onClientGone = { [weak self] in self?.gone() }
        exchange.onResume = { [weak self] in self?.resume() }
        // What follows a log would never end by itself.
        exchange.onDrain = { [weak self] in self?.task?.cancel() }
    }

    func attach(_ task: Task<Void, Never>) {
        self.task = task
        if isGone { task.cancel() }
    }

    func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) {
        isAnswered = true
        exchange.reply(status: status, headers: headers, body: body)
    }

    func open(status: Int, headers: [(String, String)]) {
        isAnswered = true
        exchange.openBody(status: status, headers: headers)
    }

    func write(_ piece: ByteBuffer) -> EventLoopFuture<Void> {
        guard !isGone, !exchange.isFinished else { return exchange.eventLoop.makeFailedFuture(CancellationError()) }
        guard !exchange.write(piece) else { return exchange.eventLoop.makeSucceededVoidFuture() }
        let promise = waiting ?? exchange.eventLoop.makePromise(of: Void.self)
        waiting = promise
        return promise.futureResult
    }

    func finish() {
        guard !exchange.isFinished else { return }
        if isAnswered {
            exchange.closeStream()
        } else {
            exchange.reply(
                status: 500, headers: [("content-type", "application/json")],
                body: ByteBuffer(string: #"{"error":"internal","message":"the request was not answered"}"#))
        }
    }

    private func resume() {
        let promise = waiting
        waiting = nil
        promise?.succeed()
    }

    private func gone() {
        isGone = true
        task?.cancel()
        let promise = waiting
        waiting = nil
        promise?.fail(CancellationError())
    }
}
