import Glibc
import NIOCore
import NIOPosix
import Testing

@testable import Wire

/// `text` with LF as CRLF, the way messages are written in tests.
func wire(_ text: String) -> ByteBuffer {
    ByteBuffer(string: text.replacing("\n", with: "\r\n"))
}

extension ByteBuffer {
    var text: String { String(buffer: self) }

    /// This buffer in two pieces, for every place to cut.
    var everySplit: [[ByteBuffer]] {
        (0...readableBytes).map { cut in
            [ByteBuffer(bytes: readableBytesView.prefix(cut)), ByteBuffer(bytes: readableBytesView.dropFirst(cut))]
        }
    }

    /// This buffer byte by byte.
    var singleBytes: [ByteBuffer] { readableBytesView.map { ByteBuffer(bytes: [$0]) } }
}

/// The loops that all tests share.
let testLoops = MultiThreadedEventLoopGroup.singleton

/// A fresh path, short enough for a socket.
func socketPath() -> String { "/tmp/berth-wire-\(UInt32.random(in: 0 ... .max)).sock" }

extension UnsafeRawBufferPointer {
    /// Where the first `mark` at or after `start` ends.
    func end(of mark: String, from start: Int) -> Int? {
        let mark = Array(mark.utf8)
        var position = start
        while let base = baseAddress, position + mark.count <= count,
            let hit = memchr(base + position, CInt(mark[0]), count - position - mark.count + 1)
        {
            if memcmp(hit, mark, mark.count) == 0 { return base.distance(to: UnsafeRawPointer(hit)) + mark.count }
            position = base.distance(to: UnsafeRawPointer(hit)) + 1
        }
        return nil
    }
}

/// Either end of a connection, byte by byte: a client of the server under test, or the server of the client under test.
actor RawPeer {
    struct Ended: Error {}

    nonisolated let channel: any Channel
    private let incoming: AsyncStream<ByteBuffer>
    private var buffer = ByteBuffer()

    private init(channel: any Channel, incoming: AsyncStream<ByteBuffer>) {
        self.channel = channel
        self.incoming = incoming
    }

    /// To be called on the channel's loop while it is being set up.
    static func attach(to channel: any Channel) throws -> RawPeer {
        let (stream, continuation) = AsyncStream.makeStream(of: ByteBuffer.self)
        try channel.pipeline.syncOperations.addHandler(Collector(continuation))
        return RawPeer(channel: channel, incoming: stream)
    }

    static func connect(to endpoint: Endpoint, autoRead: Bool = true) async throws -> RawPeer {
        let loop = testLoops.next()
        let peer = loop.makePromise(of: RawPeer.self)
        let bootstrap = ClientBootstrap(group: testLoops)
            .channelOption(.autoRead, value: autoRead)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { peer.succeed(try attach(to: channel)) }
            }
        do { _ = try await bootstrap.connect(to: endpoint).get() } catch {
            peer.fail(error)
            throw error
        }
        return try await peer.futureResult.get()
    }

    nonisolated func send(_ bytes: ByteBuffer) async throws {
        try await channel.writeAndFlush(bytes).get()
    }

    nonisolated func send(_ text: String) async throws {
        try await send(wire(text))
    }

    nonisolated func close() async {
        try? await channel.close().get()
    }

    /// Everything up to and with `mark` (LF stands for CRLF).
    func read(through mark: String) async throws -> String {
        try await readBytes(through: mark.replacing("\n", with: "\r\n")).text.replacing("\r\n", with: "\n")
    }

    /// The same without any replacing.
    func readBytes(through mark: String) async throws -> ByteBuffer {
        var scanned = 0
        while true {
            let end = buffer.withUnsafeReadableBytes { $0.end(of: mark, from: scanned) }
            if let end { return buffer.readSlice(length: end) ?? ByteBuffer() }
            scanned = max(0, buffer.readableBytes - mark.utf8.count)
            guard let more = await next() else { throw Ended() }
            buffer.writeImmutableBuffer(more)
        }
    }

    func read(count: Int) async throws -> ByteBuffer {
        while buffer.readableBytes < count {
            guard let more = await next() else { throw Ended() }
            buffer.writeImmutableBuffer(more)
        }
        return buffer.readSlice(length: count) ?? ByteBuffer()
    }

    /// What is left until the other side closes.
    func readToEnd() async -> String {
        while let more = await next() { buffer.writeImmutableBuffer(more) }
        return (buffer.readString(length: buffer.readableBytes) ?? "").replacing("\r\n", with: "\n")
    }

    /// How many bytes come before the other side closes; it does not wait for more than `limit`.
    func count(upTo limit: Int) async -> Int {
        var count = buffer.readableBytes
        buffer.clear()
        while count < limit, let more = await next() { count += more.readableBytes }
        return count
    }

    private func next() async -> ByteBuffer? {
        await incoming.first { _ in true }
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let continuation: AsyncStream<ByteBuffer>.Continuation

        init(_ continuation: AsyncStream<ByteBuffer>.Continuation) { self.continuation = continuation }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { continuation.yield(unwrapInboundIn(data)) }
        func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// A server whose every byte the test decides on.
actor RawServer {
    nonisolated let listener: any Channel
    nonisolated let endpoint: Endpoint
    private let accepted: AsyncStream<RawPeer>

    private init(listener: any Channel, endpoint: Endpoint, accepted: AsyncStream<RawPeer>) {
        self.listener = listener
        self.endpoint = endpoint
        self.accepted = accepted
    }

    static func start(unix: Bool = false, autoRead: Bool = true) async throws -> RawServer {
        let (stream, continuation) = AsyncStream.makeStream(of: RawPeer.self)
        let bootstrap = ServerBootstrap(group: testLoops)
            .childChannelOption(.autoRead, value: autoRead)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { _ = continuation.yield(try RawPeer.attach(to: channel)) }
            }
        if unix {
            let path = socketPath()
            let listener = try await bootstrap.bind(unixDomainSocketPath: path).get()
            return RawServer(listener: listener, endpoint: .unix(path: path), accepted: stream)
        }
        let listener = try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
        return RawServer(listener: listener, endpoint: .tcp(host: "127.0.0.1", port: listener.localAddress?.port ?? 0), accepted: stream)
    }

    func accept() async throws -> RawPeer {
        guard let peer = await accepted.first(where: { _ in true }) else { throw RawPeer.Ended() }
        return peer
    }

    nonisolated func stop() async {
        try? await listener.close().get()
        if case .unix(let path) = endpoint { unlink(path) }
    }
}
