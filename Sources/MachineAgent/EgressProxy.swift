import Glibc
import NIOCore
import NIOPosix
import Wire

/// The way out of an image build: `CONNECT` on loopback, repeated to the orchestrator's relay, which decides. From the
/// relay's answer on, bytes are only carried. A request in absolute form (`GET http://host/…`, an index without TLS) goes
/// to the relay as it is. Everything else is refused here.
enum EgressProxy {
    static let port = 3128
    static let url = "http://127.0.0.1:3128"
    static let relay = "/run/berth/egress.sock"

    static func listen(loop: any EventLoop, port: Int = EgressProxy.port, relay: String = EgressProxy.relay) -> EventLoopFuture<any Channel> {
        ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 256)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ConnectHandler(relay: relay))
                }
            }
            .bind(host: "127.0.0.1", port: port)
    }
}

/// Reads the request's head, then gives its place to a pair of pumps.
private final class ConnectHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let relay: String
    private var received = ByteBuffer()
    private var connecting = false

    init(relay: String) {
        self.relay = relay
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        if connecting { return }
        guard let end = headEnd() else {
            if received.readableBytes > 16 << 10 { refuse(context, 431) }
            return
        }
        guard let bytes = received.readSlice(length: end), let head = try? RequestHead(parsing: bytes) else { return refuse(context, 400) }
        var first: ByteBuffer
        if head.method == "CONNECT" {
            first = ByteBuffer()
            first.writeRequestLine(method: "CONNECT", target: head.target)
            first.writeField("host", head.target)
            first.writeHeadEnd()
        } else if head.target.hasPrefix("http://") {
            first = bytes
        } else {
            return refuse(context, 405)
        }
        connecting = true
        // Nothing more is read until there is somewhere to put it.
        context.channel.setOption(.autoRead, value: false).whenFailure { _ in }
        connect(context, first: first)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func headEnd() -> Int? {
        let view = received.readableBytesView
        let mark: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A]
        guard view.count >= 4 else { return nil }
        for index in view.startIndex...(view.endIndex - 4) where view[index..<(index + 4)].elementsEqual(mark) {
            return index + 4 - view.startIndex
        }
        return nil
    }

    private func connect(_ context: ChannelHandlerContext, first: ByteBuffer) {
        let loop = context.eventLoop
        let this = NIOLoopBound((self, context), eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.autoRead, value: false)
            .connect(unixDomainSocketPath: relay)
            .whenComplete { result in
                let (handler, context) = this.value
                switch result {
                case .failure: handler.refuse(context, 502)
                case .success(let upstream): handler.join(context, upstream, first)
                }
            }
    }

    private func join(_ context: ChannelHandlerContext, _ upstream: any Channel, _ head: ByteBuffer) {
        guard let (near, far) = ChannelPump.join(context.channel, upstream) else { return }
        var first = head
        first.writeImmutableBuffer(received)
        upstream.writeAndFlush(first, promise: nil)
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        near.begin()
        far.begin()
    }

    private func refuse(_ context: ChannelHandlerContext, _ status: Int) {
        connecting = true
        var answer = ByteBuffer()
        answer.writeStatusLine(status)
        answer.writeField("content-length", 0)
        answer.writeField("connection", "close")
        answer.writeHeadEnd()
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.channel.writeAndFlush(answer).whenComplete { _ in bound.value.close(promise: nil) }
    }
}

extension ConnectHandler: RemovableChannelHandler {}
