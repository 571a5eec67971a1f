import Glibc
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Wire

/// A pool with its loop.
private struct Harness: Sendable {
    let loop: any EventLoop
    let pool: NIOLoopBound<ConnectionPool>

    init(_ configuration: ConnectionPool.Configuration = .init()) async throws {
        let loop = testLoops.next()
        self.loop = loop
        pool = try await loop.submit {
            NIOLoopBound(ConnectionPool(eventLoop: loop, configuration: configuration), eventLoop: loop)
        }.get()
    }

    func request(
        _ endpoint: Endpoint, _ head: ByteBuffer = PoolTests.head, body: ByteBuffer? = nil, method: String = "POST", retryable: Bool = false,
        takes: [Bool] = [], cancelled: Bool = false
    ) async throws -> Recorder {
        let recorder = Recorder(loop: loop, takes: takes)
        try await loop.submit { [pool] in
            let options = ExchangeOptions(method: method, retryable: retryable)
            recorder.exchange = pool.value.request(to: endpoint, head: head, body: body, options: options, handler: recorder)
            #expect(recorder.count == 0, "a callback before request returned")
            if cancelled { recorder.exchange?.cancel() }
        }.get()
        return recorder
    }

    func idle() async throws -> Int {
        try await loop.submit { [pool] in pool.value.idleCount }.get()
    }
}

/// Writes down the callbacks of one exchange. `@unchecked Sendable`: its state is used on `loop` only.
private final class Recorder: ExchangeHandler, @unchecked Sendable {
    enum Event: Equatable, Sendable {
        case head(Int)
        case body(String)
        case ended
        case failed(ExchangeFailure.Kind)
    }

    let loop: any EventLoop
    var exchange: (any Exchange)?
    private var takes: [Bool]
    private(set) var count = 0
    private(set) var bytes = 0
    private let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation

    init(loop: any EventLoop, takes: [Bool]) {
        self.loop = loop
        self.takes = takes
        (events, continuation) = AsyncStream.makeStream(of: Event.self)
    }

    private func record(_ event: Event) {
        count += 1
        continuation.yield(event)
    }

    func received(head: ResponseHead) { record(.head(head.status)) }

    func received(body: ByteBuffer) -> Bool {
        bytes += body.readableBytes
        record(.body(body.readableBytes < 1_000 ? body.text : "…"))
        return takes.isEmpty ? true : takes.removeFirst()
    }

    func ended() {
        record(.ended)
        continuation.finish()
    }

    func failed(_ failure: ExchangeFailure) {
        record(.failed(failure.kind))
        continuation.finish()
    }

    func next() async -> Event? { await events.first { _ in true } }

    /// Everything until the end, pieces of the body joined.
    func all() async -> [Event] {
        var all: [Event] = []
        for await event in events {
            if case .body(let more) = event, case .body(let last) = all.last {
                all[all.count - 1] = .body(last + more)
            } else {
                all.append(event)
            }
        }
        return all
    }

    func resume() async throws { try await loop.submit { self.exchange?.resume() }.get() }
    func cancel() async throws { try await loop.submit { self.exchange?.cancel() }.get() }
    func callbacks() async throws -> Int { try await loop.submit { self.count }.get() }
    func received() async throws -> Int { try await loop.submit { self.bytes }.get() }
}

@Suite(.timeLimit(.minutes(5))) struct PoolTests {
    static let head = wire("POST / HTTP/1.1\nHost: h\nContent-Length: 0\n\n")
    private static let ok = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"
    private static let okEvents: [Recorder.Event] = [.head(200), .body("ok"), .ended]

    @Test(arguments: [false, true]) func sendsTheBytesAsTheyAreAndReusesTheConnection(unix: Bool) async throws {
        let server = try await RawServer.start(unix: unix)
        let harness = try await Harness()
        let head = wire("POST /x HTTP/1.1\nHost: h\nContent-Length: 5\n\n")
        let first = try await harness.request(server.endpoint, head, body: ByteBuffer(string: "hello"))
        let peer = try await server.accept()
        #expect(try await peer.read(through: "hello") == "POST /x HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello")
        try await peer.send(Self.ok)
        #expect(await first.all() == Self.okEvents)
        #expect(try await harness.idle() == 1)

        let second = try await harness.request(server.endpoint)
        _ = try await peer.read(through: "\n\n")
        #expect(try await harness.idle() == 0)
        try await peer.send("HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: x\n\n" + Self.ok)
        #expect(await second.all() == Self.okEvents)
        #expect(try await harness.idle() == 1)
        await server.stop()
    }

    /// As a machine's door is when many sessions call at once: the kernel refuses at once what finds the queue full.
    @Test func aFullQueueOfAUnixSocketIsWaitedFor() async throws {
        let path = socketPath()
        defer { unlink(path) }
        let descriptor = try UnixListener.open(path: path, mode: 0o600, backlog: 1)
        let harness = try await Harness()
        let recorders = (0..<12).map { _ in Recorder(loop: harness.loop, takes: []) }
        try await harness.loop.submit { [pool = harness.pool] in
            for recorder in recorders {
                let options = ExchangeOptions(method: "POST", retryable: false)
                recorder.exchange = pool.value.request(to: .unix(path: path), head: Self.head, body: nil, options: options, handler: recorder)
            }
        }.get()
        // Every connection has been tried by now, and nobody has taken one.
        let listener = try await ServerBootstrap(group: testLoops)
            .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Answers()) } }
            .withBoundSocket(descriptor).get()
        for recorder in recorders { #expect(await recorder.all() == Self.okEvents) }
        try await listener.close()
    }

    private final class Answers: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(NIOAny(wire(PoolTests.ok)), promise: nil)
        }
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok", false), ("HTTP/1.0 200 OK\nContent-Length: 2\n\nok", false),
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\nokX", false), ("HTTP/1.1 200 OK\n\nok", true),
        ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\nHTTP/1.1 200", false),
    ]) func keepsNoConnectionInDoubt(answer: String, closes: Bool) async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let exchange = try await harness.request(server.endpoint)
        let peer = try await server.accept()
        try await peer.send(answer)
        if closes { await peer.close() }
        #expect(await exchange.all() == Self.okEvents)
        #expect(try await harness.idle() == 0)
        _ = await peer.readToEnd()
        await server.stop()
    }

    /// A connection that served one exchange, and the server's end of it.
    private func usedConnection(_ harness: Harness, _ server: RawServer) async throws -> RawPeer {
        let exchange = try await harness.request(server.endpoint)
        let peer = try await server.accept()
        _ = try await peer.read(through: "\n\n")
        try await peer.send(Self.ok)
        #expect(await exchange.all() == Self.okEvents)
        return peer
    }

    @Test func staleConnectionIsTriedOnceMoreIfTheCallerSaysSo() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let stale = try await usedConnection(harness, server)
        let exchange = try await harness.request(server.endpoint, body: ByteBuffer(string: "hi"), retryable: true)
        _ = try await stale.read(through: "hi")
        await stale.close()
        let fresh = try await server.accept()
        #expect(try await fresh.read(through: "hi").hasPrefix("POST "))
        // The second attempt is the last one.
        await fresh.close()
        #expect(await exchange.all() == [.failed(.afterSend)])
        await server.stop()
    }

    @Test func staleConnectionIsAnUnknownOutcomeOtherwise() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let stale = try await usedConnection(harness, server)
        let exchange = try await harness.request(server.endpoint)
        _ = try await stale.read(through: "\n\n")
        await stale.close()
        #expect(await exchange.all() == [.failed(.afterSend)])
        await server.stop()
    }

    @Test func freshConnectionIsNeverTriedTwice() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let exchange = try await harness.request(server.endpoint, retryable: true)
        let peer = try await server.accept()
        _ = try await peer.read(through: "\n\n")
        await peer.close()
        #expect(await exchange.all() == [.failed(.afterSend)])
        await server.stop()
    }

    @Test func anAnswerThatBeganIsNeverTriedTwice() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let peer = try await usedConnection(harness, server)
        let exchange = try await harness.request(server.endpoint, retryable: true)
        _ = try await peer.read(through: "\n\n")
        try await peer.send("H")
        await peer.close()
        #expect(await exchange.all() == [.failed(.afterSend)])
        await server.stop()
    }

    @Test func idleConnectionThatClosesIsForgotten() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        for unasked in [false, true] {
            let peer = try await usedConnection(harness, server)
            if unasked { try await peer.send(Self.ok) } else { await peer.close() }
            try await eventually("the pool is empty") { try await harness.idle() == 0 }
        }
        await server.stop()
    }

    @Test func nothingToConnectToIsNotSent() async throws {
        let harness = try await Harness()
        let gone = try await RawServer.start()
        await gone.stop()
        let long = "/tmp/" + String(repeating: "x", count: 200)
        for endpoint in [gone.endpoint, .unix(path: socketPath()), .unix(path: long)] {
            let exchange = try await harness.request(endpoint, retryable: true)
            #expect(await exchange.all() == [.failed(.notSent)])
        }
    }

    @Test func withoutTLSNothingGoesToAnEndpointThatWantsIt() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        guard case .tcp(let host, let port) = server.endpoint else { return await server.stop() }
        #expect(await (try harness.request(.tls(host: host, port: port))).all() == [.failed(.notSent)])
        await server.stop()
    }

    @Test func aRequestThatNeverWentOutWholeIsNotSent() async throws {
        let server = try await RawServer.start(autoRead: false)
        let harness = try await Harness()
        let exchange = try await harness.request(server.endpoint, body: ByteBuffer(repeating: 0, count: 32 << 20))
        let peer = try await server.accept()
        await peer.close()
        #expect(await exchange.all() == [.failed(.notSent)])
        await server.stop()
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nok", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nok", "HTTP/1.1 200 OK\nContent-Le",
        "rubbish\n\n",
        "HTTP/1.1 101 Switching Protocols\n\n", "HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\n",
    ]) func brokenAnswersFail(answer: String) async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let exchange = try await harness.request(server.endpoint)
        let peer = try await server.accept()
        try await peer.send(answer)
        await peer.close()
        #expect(await exchange.all().last == .failed(.afterSend))
        await server.stop()
    }

    @Test func cancelClosesTheConnection() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let exchange = try await harness.request(server.endpoint)
        let peer = try await server.accept()
        _ = try await peer.read(through: "\n\n")
        try await peer.send("HTTP/1.1 200 OK\nContent-Length: 5\n\n")
        #expect(await exchange.next() == .head(200))
        try await exchange.cancel()
        try await exchange.cancel()
        #expect(await peer.readToEnd() == "")
        #expect(try await exchange.callbacks() == 1)
        #expect(try await harness.idle() == 0)
        await server.stop()
    }

    @Test func cancelBeforeTheConnectionKeepsItForOthers() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let exchange = try await harness.request(server.endpoint, cancelled: true)
        _ = try await server.accept()
        try await eventually("the connection is idle") { try await harness.idle() == 1 }
        #expect(try await exchange.callbacks() == 0)
        await server.stop()
    }

    @Test func aPausedHandlerHoldsTheServerBack() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let exchange = try await harness.request(server.endpoint, takes: [false])
        let peer = try await server.accept()
        let size = 32 << 20
        try await peer.send("HTTP/1.1 200 OK\nContent-Length: \(size)\n\n")
        let written = peer.channel.eventLoop.makePromise(of: Void.self)
        peer.channel.writeAndFlush(ByteBuffer(repeating: UInt8(ascii: "x"), count: size), promise: written)
        #expect(await exchange.next() == .head(200))
        #expect(await exchange.next() != nil)
        // Both loops go round a few times; nothing more may come.
        for _ in 0..<100 { #expect(try await exchange.callbacks() == 2) }
        #expect(!peer.channel.isWritable)
        try await exchange.resume()
        try await written.futureResult.get()
        try await eventually("the rest came") { try await exchange.received() == size }
        #expect(try await harness.idle() == 1)
        await server.stop()
    }

    @Test func whatArrivedBeforeTheCloseIsDeliveredAfterAPause() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let exchange = try await harness.request(server.endpoint, takes: [false, false])
        let peer = try await server.accept()
        try await peer.send("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\na\n1\nb\n1\nc\n0\n\n")
        await peer.close()
        #expect(await exchange.next() == .head(200))
        #expect(await exchange.next() == .body("a"))
        try await exchange.resume()
        #expect(await exchange.next() == .body("b"))
        #expect(try await exchange.callbacks() == 3)
        try await exchange.resume()
        #expect(await exchange.all() == [.body("c"), .ended])
        await server.stop()
    }

    @Test func headAnswersHaveNoBody() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let exchange = try await harness.request(server.endpoint, method: "HEAD")
        try await server.accept().send("HTTP/1.1 200 OK\nContent-Length: 5\n\n")
        #expect(await exchange.all() == [.head(200), .ended])
        #expect(try await harness.idle() == 1)
        await server.stop()
    }

    @Test func idleConnectionsAreLimitedInTime() async throws {
        let server = try await RawServer.start()
        var configuration = ConnectionPool.Configuration()
        configuration.idleTimeout = .milliseconds(50)
        let harness = try await Harness(configuration)
        let peer = try await usedConnection(harness, server)
        #expect(await peer.readToEnd() == "")
        #expect(try await harness.idle() == 0)
        await server.stop()
    }

    @Test func idleConnectionsAreLimitedInNumber() async throws {
        let server = try await RawServer.start()
        var configuration = ConnectionPool.Configuration()
        configuration.idlePerEndpoint = 1
        let harness = try await Harness(configuration)
        let first = try await harness.request(server.endpoint)
        let one = try await server.accept()
        let second = try await harness.request(server.endpoint)
        let other = try await server.accept()
        try await one.send(Self.ok)
        try await other.send(Self.ok)
        _ = await first.all()
        _ = await second.all()
        #expect(try await harness.idle() == 1)
        await server.stop()
    }

    @Test func shutdownEndsIdleConnectionsAndRefusesRequests() async throws {
        let server = try await RawServer.start()
        let harness = try await Harness()
        let peer = try await usedConnection(harness, server)
        try await harness.loop.submit { harness.pool.value.shutdown() }.get()
        #expect(await peer.readToEnd() == "")
        #expect(await (try harness.request(server.endpoint)).all() == [.failed(.notSent)])
        await server.stop()
    }

    @Test func everySplitOfAnAnswerIsTheSame() throws {
        let bytes = wire("HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nhel\n2\nlo\n0\nX: y\n\n")
        for pieces in bytes.everySplit + [bytes.singleBytes] {
            var reader = HTTPResponseReader(method: "GET", limits: HTTPLimits())
            var body = ""
            for piece in pieces where piece.readableBytes > 0 {
                reader.feed(piece)
                while let event = try reader.next() {
                    if case .body(let part) = event { body += part.text }
                }
            }
            #expect(body == "hello")
            #expect(reader.isComplete && reader.isReusable && reader.buffered == 0)
        }
    }
}
