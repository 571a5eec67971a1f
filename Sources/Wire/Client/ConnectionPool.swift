import NIOCore
import NIOPosix

/// Kept-alive HTTP/1.1 connections of one event loop, to unix sockets and TCP addresses. Not shared between loops, so
/// there is no lock and no hop: everything is called on `eventLoop`.
public final class ConnectionPool {
    public struct Configuration: Sendable {
        /// Idle connections kept per endpoint; further ones are closed after their exchange.
        public var idlePerEndpoint = 64
        /// An idle connection is closed after this, at the latest after twice this.
        public var idleTimeout = TimeAmount.seconds(60)
        public var connectTimeout = TimeAmount.seconds(5)
        /// What a response head may be.
        public var limits = HTTPLimits()
        /// What speaks TLS; without it a `tls` endpoint cannot be reached.
        public var security: (any ClientSecurity)?

        public init() {}
    }

    public let eventLoop: any EventLoop
    let configuration: Configuration
    /// The most recently used connection of an endpoint is last, and is taken first.
    private var idle: [Endpoint: [ClientConnection]] = [:]
    private var sweepScheduled = false
    private var isShutDown = false

    public init(eventLoop: any EventLoop, configuration: Configuration = Configuration()) {
        self.eventLoop = eventLoop
        self.configuration = configuration
    }

    /// How many connections wait for a request.
    public var idleCount: Int { idle.values.reduce(0) { $0 + $1.count } }

    /// Sends one request: a head of the caller's making, with the framing of the body in it, and the body as it is.
    ///
    /// - Returns: The running exchange; no callback comes before this returns.
    @discardableResult
    public func request(
        to endpoint: Endpoint, head: ByteBuffer, body: ByteBuffer? = nil, options: ExchangeOptions = ExchangeOptions(),
        handler: any ExchangeHandler
    ) -> any Exchange {
        let exchange = PooledExchange(endpoint: endpoint, head: head, body: body, options: options, handler: handler, pool: self)
        exchange.isStarting = true
        defer { exchange.isStarting = false }
        if isShutDown {
            exchange.fail(ExchangeFailure(.notSent, "the connection pool is shut down"))
        } else if let connection = takeIdle(endpoint) {
            connection.start(exchange)
        } else {
            connect(for: exchange)
        }
        return exchange
    }

    /// Closes the idle connections of an endpoint whose machine is gone.
    public func close(_ endpoint: Endpoint) {
        for connection in idle.removeValue(forKey: endpoint) ?? [] { connection.close() }
    }

    /// Closes idle connections now and busy ones after their exchange; further requests fail.
    public func shutdown() {
        isShutDown = true
        for endpoint in Array(idle.keys) { close(endpoint) }
    }

    // MARK: - For connections and exchanges

    /// Sends an exchange once more, on a connection that is certainly fresh.
    func retry(_ exchange: PooledExchange) {
        exchange.isRetry = true
        connect(for: exchange)
    }

    /// Keeps a connection for the next request.
    func release(_ connection: ClientConnection) {
        guard !isShutDown, idle[connection.endpoint, default: []].count < configuration.idlePerEndpoint else {
            connection.close()
            return
        }
        connection.idleSince = .now()
        idle[connection.endpoint, default: []].append(connection)
        scheduleSweep()
    }

    /// A connection closed while it was idle.
    func forget(_ connection: ClientConnection) {
        guard var connections = idle[connection.endpoint] else { return }
        connections.removeAll { $0 === connection }
        idle[connection.endpoint] = connections.isEmpty ? nil : connections
    }

    private func takeIdle(_ endpoint: Endpoint) -> ClientConnection? {
        while let connection = idle[endpoint]?.popLast() {
            if connection.isUsable { return connection }
            connection.close()
        }
        return nil
    }

    /// A unix socket whose queue of connections is full refuses further ones at once, where TCP would wait: tried again so often, with
    /// pauses that double from 5 ms.
    private static let fullQueueTries = 11

    private func connect(for exchange: PooledExchange, attempt: Int = 1) {
        let connection = ClientConnection(endpoint: exchange.endpoint, pool: self)
        let bound = NIOLoopBound(connection, eventLoop: eventLoop)
        var secured: (security: any ClientSecurity, host: String)?
        if case .tls(let host, _) = exchange.endpoint {
            guard let security = configuration.security else {
                return exchange.fail(ExchangeFailure(.notSent, "cannot connect to \(exchange.endpoint): there is no TLS here"))
            }
            secured = (security, host)
        }
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(configuration.connectTimeout)
            .channelInitializer { [secured] channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let secured { try pipeline.addHandlers(secured.security.handlers(host: secured.host)) }
                    try pipeline.addHandler(bound.value)
                }
            }
        bootstrap.connect(to: exchange.endpoint).assumeIsolated().whenComplete { result in
            switch result {
            case .success where exchange.isWanted:
                connection.start(exchange)
            case .success:
                self.release(connection)
            case .failure(let error as IOError) where error.errnoCode == EAGAIN && attempt < Self.fullQueueTries && exchange.isWanted:
                self.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(5 << Int64(attempt - 1))) {
                    self.connectAgain(for: exchange, attempt: attempt + 1)
                }
            case .failure(let error):
                exchange.fail(ExchangeFailure(.notSent, "cannot connect to \(exchange.endpoint): \(ConnectFailure.words(error))"))
            }
        }
    }

    private func connectAgain(for exchange: PooledExchange, attempt: Int) {
        guard exchange.isWanted else { return }
        guard !isShutDown else { return exchange.fail(ExchangeFailure(.notSent, "the connection pool is shut down")) }
        connect(for: exchange, attempt: attempt)
    }

    private func scheduleSweep() {
        guard !sweepScheduled else { return }
        sweepScheduled = true
        eventLoop.assumeIsolated().scheduleTask(in: configuration.idleTimeout) { self.sweep() }
    }

    private func sweep() {
        sweepScheduled = false
        let now = NIODeadline.now()
        for endpoint in Array(idle.keys) {
            // The longest unused are first.
            while let oldest = idle[endpoint]?.first, oldest.idleSince + configuration.idleTimeout <= now {
                idle[endpoint]?.removeFirst()
                oldest.close()
            }
            if idle[endpoint]?.isEmpty == true { idle[endpoint] = nil }
        }
        if !idle.isEmpty { scheduleSweep() }
    }
}

extension ClientBootstrap {
    /// A numeric address never goes through the resolver, which a static executable does not have.
    func connect(to endpoint: Endpoint) -> EventLoopFuture<any Channel> {
        switch endpoint {
        case .unix(let path):
            return connect(unixDomainSocketPath: path)
        case .tcp(let host, let port), .tls(let host, let port):
            let noDelay = channelOption(.tcpOption(.tcp_nodelay), value: 1)
            if let address = try? SocketAddress(ipAddress: host, port: port) { return noDelay.connect(to: address) }
            return noDelay.connect(host: host, port: port)
        }
    }
}
