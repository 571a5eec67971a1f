import NIOCore
import NIOPosix

/// Why a client gave up beside `ExchangeFailure`.
public enum HTTPClientError: Error, Sendable, Equatable {
    /// The body is larger than what the caller takes.
    case responseTooLarge(limit: Int)
    /// No head of an answer within the time given. The server may still act on the request.
    case timeout(seconds: Int)
}

/// Requests for code that waits: the Machines API's client and the CLI. Plain HTTP/1.1 to an endpoint over one event
/// loop and a pool of its own; no redirects, no cookies, no proxies.
///
/// ```swift
/// let client = HTTPClient()
/// let answer = try await client.execute("GET", "/v1/apps", to: .unix(path: path))
/// let body = try await answer.collect(upTo: 1 << 20)
/// await client.shutdown()
/// ```
public final class HTTPClient: Sendable {
    private let loop: any EventLoop
    private let pool: NIOLoopBoundBox<ConnectionPool>
    private let ownGroup: MultiThreadedEventLoopGroup?

    /// - Parameter eventLoopGroup: Whose next loop is used; without one the client runs a thread of its own.
    public init(eventLoopGroup: (any EventLoopGroup)? = nil, configuration: ConnectionPool.Configuration = .init()) {
        if let eventLoopGroup {
            ownGroup = nil
            loop = eventLoopGroup.next()
        } else {
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            ownGroup = group
            loop = group.next()
        }
        pool = NIOLoopBoundBox.makeBoxSendingValue(
            ConnectionPool(eventLoop: loop, configuration: configuration), as: ConnectionPool.self, eventLoop: loop)
    }

    /// Sends one request and returns when the head of the answer is there. `host` and `content-length` are added unless
    /// they are given. Cancelling the task, or dropping the response before its body ended, closes the connection.
    ///
    /// - Parameters:
    ///   - headTimeout: How long the head may take; `nil` waits for ever.
    ///   - retryable: Whether the request may be sent twice (`ExchangeOptions.retryable`).
    /// - Throws: `ExchangeFailure`, `HTTPClientError.timeout`, `CancellationError`.
    public func execute(
        _ method: String, _ path: String, headers: [(String, String)] = [], body: ByteBuffer? = nil, to endpoint: Endpoint,
        headTimeout: TimeAmount? = .seconds(30), retryable: Bool = false
    ) async throws -> HTTPClientResponse {
        let head = Self.head(method, path, headers: headers, body: body, endpoint: endpoint)
        let running = AsyncExchange(loop: loop)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                loop.execute { [pool] in
                    running.start(
                        continuation, pool: pool.value, endpoint: endpoint, head: head, body: body,
                        options: ExchangeOptions(method: method, retryable: retryable), timeout: headTimeout)
                }
            }
        } onCancel: {
            loop.execute { running.cancel() }
        }
    }

    /// Closes idle connections and, if the client runs a thread of its own, ends it.
    public func shutdown() async {
        try? await loop.submit { [pool] in pool.value.shutdown() }.get()
        try? await ownGroup?.shutdownGracefully()
    }

    private static func head(
        _ method: String, _ path: String, headers: [(String, String)], body: ByteBuffer?, endpoint: Endpoint
    ) -> ByteBuffer {
        var head = ByteBuffer()
        head.reserveCapacity(512)
        head.writeRequestLine(method: method, target: path)
        func lacks(_ name: String) -> Bool { !headers.contains { $0.0.lowercased() == name } }
        if lacks("host") { head.writeField("host", endpoint.hostHeader) }
        for (name, value) in headers { head.writeField(name, value) }
        let length = body?.readableBytes ?? 0
        if lacks("content-length"), length > 0 || ["POST", "PUT", "PATCH"].contains(method) {
            head.writeField("content-length", length)
        }
        head.writeHeadEnd()
        return head
    }
}
