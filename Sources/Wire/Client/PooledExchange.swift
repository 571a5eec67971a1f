import NIOCore

/// One request of a pool, from `request` to its end.
final class PooledExchange: Exchange {
    let endpoint: Endpoint
    let head: ByteBuffer
    let body: ByteBuffer?
    let options: ExchangeOptions
    /// `nil` once the exchange has ended.
    private(set) var handler: (any ExchangeHandler)?
    private let pool: ConnectionPool
    /// Kept alive until the end: a closed connection may hold what a paused handler has yet to take.
    var connection: ClientConnection?
    /// While `ConnectionPool.request` runs.
    var isStarting = false
    var isRetry = false

    init(
        endpoint: Endpoint, head: ByteBuffer, body: ByteBuffer?, options: ExchangeOptions, handler: any ExchangeHandler,
        pool: ConnectionPool
    ) {
        self.endpoint = endpoint
        self.head = head
        self.body = body
        self.options = options
        self.handler = handler
        self.pool = pool
    }

    /// Nobody has cancelled it and it has not ended.
    var isWanted: Bool { handler != nil }

    func cancel() {
        guard handler != nil else { return }
        handler = nil
        let last = connection
        connection = nil
        last?.abandon(self)
    }

    func resume() {
        connection?.resume(self)
    }

    func end() {
        let last = handler
        handler = nil
        connection = nil
        last?.ended()
    }

    func fail(_ failure: ExchangeFailure) {
        if isStarting {
            pool.eventLoop.assumeIsolated().execute { self.fail(failure) }
            return
        }
        let last = handler
        handler = nil
        connection = nil
        last?.failed(failure)
    }

    /// The connection died before any byte of an answer.
    ///
    /// - Parameters:
    ///   - reused: Whether it had served another exchange, so that it may have been dead before this one.
    ///   - sent: Whether the whole request had reached the kernel.
    func connectionDied(reused: Bool, sent: Bool, reason: String) {
        guard isWanted else { return }
        connection = nil
        if reused, !isRetry, options.retryable || !sent {
            pool.retry(self)
        } else {
            fail(ExchangeFailure(sent ? .afterSend : .notSent, reason))
        }
    }
}
