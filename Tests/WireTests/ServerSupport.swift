import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

@testable import Wire

/// A server whose requests a closure answers.
struct TestServer: Sendable {
    let server: PublicServer
    let endpoint: Endpoint

    private final class Delegate: ServerDelegate {
        let admission: @Sendable (HTTPRequestHead) -> Admission
        let payer: @Sendable (HTTPRequestHead) -> String
        let handler: @Sendable (ServerExchange) -> Void

        init(
            _ admission: @escaping @Sendable (HTTPRequestHead) -> Admission, _ payer: @escaping @Sendable (HTTPRequestHead) -> String,
            _ handler: @escaping @Sendable (ServerExchange) -> Void
        ) {
            self.payer = payer
            self.admission = admission
            self.handler = handler
        }

        func admit(_ head: HTTPRequestHead, peer: ServerPeer) -> Admission { admission(head) }
        func payer(of head: HTTPRequestHead, peer: ServerPeer) -> String { payer(head) }
        func handle(_ exchange: ServerExchange) { handler(exchange) }
    }

    static func start(
        _ address: ListenAddress = .tcp(host: "127.0.0.1", port: 0), limits: ServerLimits = ServerLimits(),
        admit: @escaping @Sendable (HTTPRequestHead) -> Admission = { _ in .accept(bodyLimit: nil) },
        payer: @escaping @Sendable (HTTPRequestHead) -> String = { _ in "" },
        handle: @escaping @Sendable (ServerExchange) -> Void
    ) async throws -> TestServer {
        let server = try await PublicServer.bind(address, group: testLoops, limits: limits) { _ in Delegate(admit, payer, handle) }
        if let path = server.localAddress?.pathname, !path.isEmpty { return TestServer(server: server, endpoint: .unix(path: path)) }
        return TestServer(server: server, endpoint: .tcp(host: "127.0.0.1", port: server.port ?? 0))
    }

    /// Answers 200 with `METHOD uri body`.
    static func echo(limits: ServerLimits = ServerLimits()) async throws -> TestServer {
        try await start(limits: limits) { exchange in
            let text = "\(exchange.method) \(exchange.uri) \(exchange.body.text)"
            exchange.reply(status: 200, headers: [("x-test", "yes")], body: ByteBuffer(string: text))
        }
    }

    func connect(autoRead: Bool = true) async throws -> RawPeer {
        try await RawPeer.connect(to: endpoint, autoRead: autoRead)
    }

    func stop() async { await server.close(drain: .milliseconds(0)) }
}

/// Exchanges handed from their loop to a test.
struct Exchanges: Sendable {
    private let stream: AsyncStream<NIOLoopBound<ServerExchange>>
    private let continuation: AsyncStream<NIOLoopBound<ServerExchange>>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream()
    }

    func put(_ exchange: ServerExchange) {
        continuation.yield(NIOLoopBound(exchange, eventLoop: exchange.eventLoop))
    }

    func next() async throws -> HeldExchange {
        guard let bound = await stream.first(where: { _ in true }) else { throw RawPeer.Ended() }
        return HeldExchange(bound: bound, loop: bound.eventLoop)
    }
}

/// One exchange as a test holds it.
struct HeldExchange: Sendable {
    let bound: NIOLoopBound<ServerExchange>
    let loop: any EventLoop

    @discardableResult
    func on<Value: Sendable>(_ body: @escaping @Sendable (ServerExchange) -> Value) async throws -> Value {
        try await loop.submit { body(bound.value) }.get()
    }
}

/// One signal.
struct Signal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func fire() { continuation.yield() }
    func wait() async { _ = await stream.first { _ in true } }
}
