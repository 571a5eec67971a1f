import NIOCore

/// One connection of a pool: writes a request, hands its answer to the exchange, goes back to the pool.
final class ClientConnection: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let endpoint: Endpoint
    var idleSince = NIODeadline.now()
    private let pool: ConnectionPool
    private var context: ChannelHandlerContext?
    private var exchange: PooledExchange?
    private var reader: HTTPResponseReader
    private var exchanges = 0
    /// The last byte of the present request is in the kernel.
    private var isSent = false
    private var isPaused = false
    private var readIsWithheld = false
    private var isDelivering = false
    private var inputEnded = false
    private var failureReason: String?

    init(endpoint: Endpoint, pool: ConnectionPool) {
        self.endpoint = endpoint
        self.pool = pool
        reader = HTTPResponseReader(method: "", limits: pool.configuration.limits)
    }

    /// Whether a request may be written to it.
    var isUsable: Bool { !inputEnded && context?.channel.isActive == true }

    func start(_ exchange: PooledExchange) {
        guard let context, isUsable else {
            exchange.connectionDied(reused: exchanges > 0, sent: false, reason: "the connection closed before the request")
            return
        }
        self.exchange = exchange
        exchange.connection = self
        exchanges += 1
        isSent = false
        isPaused = false
        reader = HTTPResponseReader(method: exchange.options.method, limits: pool.configuration.limits)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess {
            if self.exchange === exchange { self.isSent = true }
        }
        if let body = exchange.body, body.readableBytes > 0 {
            context.write(wrapOutboundOut(exchange.head), promise: nil)
            context.writeAndFlush(wrapOutboundOut(body), promise: written)
        } else {
            context.writeAndFlush(wrapOutboundOut(exchange.head), promise: written)
        }
    }

    /// The exchange was cancelled: what the server still sends is for nobody.
    func abandon(_ exchange: PooledExchange) {
        guard self.exchange === exchange else { return }
        self.exchange = nil
        close()
    }

    func resume(_ exchange: PooledExchange) {
        guard self.exchange === exchange, isPaused else { return }
        isPaused = false
        deliver()
    }

    func close() {
        context?.close(promise: nil)
    }

    // MARK: - Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard exchange != nil else {
            // Nobody asked. An answer to nothing must never become the answer to the next request.
            context.close(promise: nil)
            return
        }
        reader.feed(unwrapInboundIn(data))
        deliver()
    }

    func read(context: ChannelHandlerContext) {
        if isPaused {
            readIsWithheld = true
        } else {
            context.read()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failureReason = "\(error)"
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        inputEnded = true
        if exchange == nil {
            pool.forget(self)
        } else {
            deliver()
        }
    }

    // MARK: - Delivery

    /// Hands on what has arrived until the handler pauses. Callbacks may cancel, resume and start exchanges.
    private func deliver() {
        guard !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while let current = exchange, !isPaused {
            do {
                guard let event = try nextEvent() else { break }
                switch event {
                case .head(let head):
                    current.handler?.received(head: head)
                case .body(let body):
                    // Paused before the call, so that a `resume()` from within it is not lost.
                    isPaused = true
                    if current.handler?.received(body: body) ?? true { isPaused = false }
                case .end:
                    complete(current)
                }
            } catch {
                exchange = nil
                close()
                died(current, error)
            }
        }
        if !isPaused, readIsWithheld {
            readIsWithheld = false
            context?.read()
        }
    }

    private func nextEvent() throws(HTTPError) -> HTTPResponseReader.Event? {
        if let event = try reader.next() { return event }
        return inputEnded ? try reader.inputEnded() : nil
    }

    private func complete(_ current: PooledExchange) {
        exchange = nil
        // An answer that came before the request was out leaves a connection in an unknown state.
        if reader.isReusable, isSent, reader.buffered == 0, isUsable {
            pool.release(self)
        } else {
            close()
        }
        current.end()
    }

    private func died(_ current: PooledExchange, _ error: HTTPError) {
        if error == .truncated, !reader.sawBytes {
            let reason = failureReason ?? "the connection closed without an answer"
            current.connectionDied(reused: exchanges > 1, sent: isSent, reason: reason)
        } else {
            current.fail(ExchangeFailure(.afterSend, "bad answer: \(error.reason)"))
        }
    }
}
