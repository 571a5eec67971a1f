import Door
import NIOCore
import NIOPosix
import Wire

/// One connection of a machine to its egress relay: head, decision, then bytes both ways.
///
/// Confined to the connection's loop; the connection outwards lives on the same one.
final class EgressConnection: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case head([UInt8])
        case connecting(early: [UInt8])
        /// The pumps have taken over.
        case relaying
        case ended
    }

    private let context: EgressRelay.Context
    private var state = State.head([])
    private var isCounted = false
    private var isTunnel = true
    /// The machine ended its side before there was somewhere to say so.
    private var inputHasEnded = false
    private var deadline: Scheduled<Void>?

    static let headTimeout = TimeAmount.seconds(10)
    static let connectTimeout = TimeAmount.seconds(10)

    init(context: EgressRelay.Context) { self.context = context }

    func handlerAdded(context channel: ChannelHandlerContext) { if channel.channel.isActive { begin(channel) } }
    func channelActive(context channel: ChannelHandlerContext) { begin(channel) }

    private func begin(_ channel: ChannelHandlerContext) {
        guard !isCounted, case .head = state else { return }
        guard context.enter() else { return refuse(channel, host: "", port: 0, .tooMany) }
        isCounted = true
        let bound = NIOLoopBound((self, channel), eventLoop: channel.eventLoop)
        PeerCredentials.of(channel.channel).whenComplete { result in
            let (handler, channel) = bound.value
            let uid = (try? result.get())??.uid
            guard let uid, handler.context.peerUIDs.contains(uid) else {
                return handler.refuse(channel, host: "uid \(uid.map(String.init) ?? "unknown")", port: 0, .foreignPeer)
            }
        }
        deadline = channel.eventLoop.assumeIsolated().scheduleTask(in: Self.headTimeout) { [self] in
            if case .head = state { refuse(channel, host: "", port: 0, .malformed) }
        }
    }

    func channelRead(context channel: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(unwrapInboundIn(data).readableBytesView)
        switch state {
        case .head(let before): readHead(channel, before + bytes)
        case .connecting(let early): state = .connecting(early: early + bytes)
        case .relaying: channel.fireChannelRead(data)
        case .ended: break
        }
    }

    private func readHead(_ channel: ChannelHandlerContext, _ bytes: [UInt8]) {
        do {
            guard let (said, length) = try RelayRequest.parse(bytes) else {
                state = .head(bytes)
                return
            }
            guard case .connect(let request) = said else { return count(channel, said) }
            guard let destination = context.policy.destination(host: request.host, port: request.port) else {
                return refuse(channel, host: request.host, port: request.port, .notAllowed)
            }
            state = .connecting(early: Array(bytes[length...]))
            isTunnel = request.isTunnel
            // Nothing more is read until there is somewhere to put it.
            channel.channel.setOption(.autoRead, value: false).whenFailure { _ in }
            connect(channel, destination)
        } catch {
            refuse(channel, host: "", port: 0, .malformed)
        }
    }

    /// The agent tells what it refused itself.
    private func count(_ channel: ChannelHandlerContext, _ said: RelayRequest) {
        guard case .refused(let refusal, let times) = said else { return }
        state = .ended
        deadline?.cancel()
        context.refuse(refusal, times: times)
        let inside = channel.channel
        channel.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"))).whenComplete { _ in inside.close(promise: nil) }
    }

    private func connect(_ channel: ChannelHandlerContext, _ destination: EgressDestination) {
        let loop = channel.eventLoop
        let bound = NIOLoopBound((self, channel), eventLoop: loop)
        context.addresses(of: destination, on: loop)
            .flatMap { addresses in Self.connectFirst(addresses[...], loop) }
            .whenComplete { result in
                let (handler, channel) = bound.value
                switch result {
                case .success(let outside):
                    handler.context.passed(destination)
                    handler.relay(channel, outside)
                case .failure(let error):
                    let reason = (error as? EgressResolver.Refused)?.reason ?? .unreachable
                    handler.refuse(channel, host: destination.host, port: destination.port, reason)
                }
            }
    }

    private static func connectFirst(_ addresses: ArraySlice<SocketAddress>, _ loop: any EventLoop) -> EventLoopFuture<any Channel> {
        guard let address = addresses.first else { return loop.makeFailedFuture(EgressResolver.Refused(reason: .unreachable)) }
        return ClientBootstrap(group: loop)
            .connectTimeout(connectTimeout)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.autoRead, value: false)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            // Who is gone without a word is noticed.
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .connect(to: address)
            .flatMapError { _ in connectFirst(addresses.dropFirst(), loop) }
    }

    private func relay(_ channel: ChannelHandlerContext, _ outside: any Channel) {
        guard case .connecting(let early) = state, channel.channel.isActive else {
            outside.close(promise: nil)
            return
        }
        state = .relaying
        deadline?.cancel()
        guard let (near, far) = ChannelPump.join(channel.channel, outside) else { return }
        if isTunnel { channel.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n")), promise: nil) }
        if !early.isEmpty { outside.writeAndFlush(ByteBuffer(bytes: early), promise: nil) }
        if inputHasEnded { outside.close(mode: .output, promise: nil) }
        near.begin()
        far.begin()
    }

    func userInboundEventTriggered(context channel: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { inputHasEnded = true }
        channel.fireUserInboundEventTriggered(event)
    }

    private func refuse(_ channel: ChannelHandlerContext, host: String, port: Int, _ reason: EgressRefusal.Reason) {
        if case .ended = state { return }
        state = .ended
        deadline?.cancel()
        context.refuse(EgressRefusal(host: host, port: port, reason: reason))
        let status = reason == .unresolved || reason == .unreachable ? "502 Bad Gateway" : reason == .malformed ? "400 Bad Request" : "403 Forbidden"
        let answer = "HTTP/1.1 \(status)\r\nx-berth-refused: \(reason.rawValue)\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        let inside = channel.channel
        channel.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer))).whenComplete { _ in inside.close(promise: nil) }
    }

    func channelReadComplete(context channel: ChannelHandlerContext) {
        if case .relaying = state { channel.fireChannelReadComplete() }
    }

    func channelInactive(context channel: ChannelHandlerContext) {
        deadline?.cancel()
        state = .ended
        if isCounted { context.leave() }
        isCounted = false
        channel.fireChannelInactive()
    }
}
