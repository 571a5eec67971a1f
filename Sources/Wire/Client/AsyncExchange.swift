import NIOCore

/// Carries one exchange from its loop to the task that waits for it.
///
/// `@unchecked Sendable`: every stored property is used on `loop` only; whatever comes from elsewhere hops there first.
final class AsyncExchange: ExchangeHandler, NIOAsyncSequenceProducerDelegate, @unchecked Sendable {
    private typealias Body = HTTPClientResponse.Body

    private let loop: any EventLoop
    private var waiting: CheckedContinuation<HTTPClientResponse, any Error>?
    private var source: Body.Producer.Source?
    private var exchange: (any Exchange)?
    private var timeout: Scheduled<Void>?
    private var isOver = false

    init(loop: any EventLoop) {
        self.loop = loop
    }

    func start(
        _ continuation: CheckedContinuation<HTTPClientResponse, any Error>, pool: ConnectionPool, endpoint: Endpoint,
        head: ByteBuffer, body: ByteBuffer?, options: ExchangeOptions, timeout limit: TimeAmount?
    ) {
        // The task may have been cancelled before it got here.
        guard !isOver else {
            continuation.resume(throwing: CancellationError())
            return
        }
        waiting = continuation
        exchange = pool.request(to: endpoint, head: head, body: body, options: options, handler: self)
        if let limit {
            timeout = loop.scheduleTask(in: limit) {
                self.finish(HTTPClientError.timeout(seconds: Int(limit.nanoseconds / 1_000_000_000)))
            }
        }
    }

    func cancel() {
        finish(CancellationError())
    }

    // MARK: - ExchangeHandler

    func received(head: ResponseHead) {
        timeout?.cancel()
        timeout = nil
        let made = Body.Producer.makeSequence(
            elementType: ByteBuffer.self, failureType: (any Error).self,
            backPressureStrategy: .init(lowWatermark: 2, highWatermark: 8), finishOnDeinit: true, delegate: self)
        source = made.source
        let continuation = waiting
        waiting = nil
        continuation?.resume(
            returning: HTTPClientResponse(status: head.status, headers: head.fields, body: Body(producer: made.sequence)))
    }

    func received(body: ByteBuffer) -> Bool {
        if case .produceMore = source?.yield(body) { return true }
        return false
    }

    func ended() {
        finish(nil)
    }

    func failed(_ failure: ExchangeFailure) {
        finish(failure)
    }

    // MARK: - NIOAsyncSequenceProducerDelegate, from any thread

    func produceMore() {
        loop.execute { self.exchange?.resume() }
    }

    func didTerminate() {
        loop.execute { self.finish(nil) }
    }

    private func finish(_ error: (any Error)?) {
        guard !isOver else { return }
        isOver = true
        timeout?.cancel()
        timeout = nil
        // Does nothing for an exchange that has ended by itself.
        exchange?.cancel()
        exchange = nil
        let continuation = waiting
        waiting = nil
        continuation?.resume(throwing: error ?? CancellationError())
        let last = source
        source = nil
        if let error { last?.finish(error) } else { last?.finish() }
    }
}
