import Door
import Glibc
import NIOCore
import NIOPosix
import Wire

/// A connection of a server outwards: its destination's name by the address that it was opened to, on 443 held against the
/// ClientHello; then the relay's decision; then bytes both ways. What is refused is reset.
final class OutwardConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case hello(name: String, ByteBuffer, needed: Int)
        case connecting(early: ByteBuffer)
        case relaying
        case ended
    }

    private let egress: Egress
    private let port: Int
    private var state = State.ended
    private var isCounted = false
    private var isRefused = false
    private var inputHasEnded = false
    private var deadline: Scheduled<Void>?

    /// For the relay, which resolves and tries several addresses.
    static let relayTimeout = TimeAmount.seconds(60)

    init(egress: Egress, port: Int) {
        self.egress = egress
        self.port = port
    }

    func channelActive(context: ChannelHandlerContext) {
        guard egress.enter() else { return refuse(context, destination(context) ?? "", .tooMany) }
        isCounted = true
        guard let name = destination(context) else {
            return refuse(context, context.localAddress?.ipAddress.flatMap { IPAddress($0) }?.unmapped.description ?? "", .literal)
        }
        guard egress.list.covers(name, port: port) else { return refuse(context, name, .notAllowed) }
        guard port == egress.places.tlsPort else { return ask(context, name, early: ByteBuffer()) }
        state = .hello(name: name, ByteBuffer(), needed: 1)
        schedule(context, egress.places.helloTimeout, name, .noTLSName)
    }

    /// The name behind the address that the connection was opened to.
    private func destination(_ context: ChannelHandlerContext) -> String? {
        guard let text = context.localAddress?.ipAddress, case .v4(let bytes)? = IPAddress(text)?.unmapped else { return nil }
        return egress.names.table.name(at: bytes.reduce(0) { $0 << 8 | UInt32($1) })
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        switch state {
        case .hello(let name, var before, let needed):
            before.writeImmutableBuffer(bytes)
            // Not byte by byte: who sends it so would have it read as often.
            if before.readableBytes >= needed {
                readHello(context, name, before)
            } else {
                state = .hello(name: name, before, needed: needed)
            }
        case .connecting(var early):
            early.writeImmutableBuffer(bytes)
            state = .connecting(early: early)
        case .relaying: context.fireChannelRead(data)
        case .ended: break
        }
    }

    private func readHello(_ context: ChannelHandlerContext, _ name: String, _ bytes: ByteBuffer) {
        switch ClientHello.read(bytes.readableBytesView) {
        case .incomplete(let needed):
            guard needed <= ClientHello.byteLimit else { return refuse(context, name, .noTLSName) }
            state = .hello(name: name, bytes, needed: needed)
        case .malformed, .nameless: refuse(context, name, .noTLSName)
        case .name(let asked):
            guard asked == name else { return refuse(context, asked, .wrongName) }
            ask(context, name, early: bytes)
        }
    }

    // MARK: The relay

    private func ask(_ context: ChannelHandlerContext, _ name: String, early: ByteBuffer) {
        state = .connecting(early: early)
        // Nothing more is read until there is somewhere to put it.
        context.channel.setOption(.autoRead, value: false).whenFailure { _ in }
        schedule(context, Self.relayTimeout, name, .unreachable)
        let this = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        RelayConnection.open(egress.places.relay, "CONNECT \(name):\(port)", on: context.eventLoop).whenComplete { result in
            let (connection, context) = this.value
            switch result {
            case .success(let relay): connection.join(context, relay)
            case .failure(let error as RelayConnection.Refused): connection.refuse(context, name, error.reason, isToldOutside: true)
            // Between two orchestrators nobody is there; the next try finds the new one.
            case .failure: connection.refuse(context, name, .unreachable)
            }
        }
    }

    private func join(_ context: ChannelHandlerContext, _ relay: RelayConnection) {
        guard case .connecting(let early) = state, let outside = relay.channel else {
            relay.channel?.close(promise: nil)
            return
        }
        state = .relaying
        deadline?.cancel()
        guard let (near, far) = ChannelPump.join(context.channel, outside) else { return }
        if early.readableBytes > 0 { outside.writeAndFlush(early, promise: nil) }
        if inputHasEnded { outside.close(mode: .output, promise: nil) }
        relay.handOver()
        near.begin()
        far.begin()
    }

    // MARK: The end

    private func schedule(_ context: ChannelHandlerContext, _ time: TimeAmount, _ name: String, _ reason: EgressRefusal.Reason) {
        deadline?.cancel()
        let this = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: time) {
            let (connection, context) = this.value
            connection.refuse(context, name, reason)
        }
    }

    /// - Parameter isToldOutside: the relay said so, and counted it.
    private func refuse(_ context: ChannelHandlerContext, _ host: String, _ reason: EgressRefusal.Reason, isToldOutside: Bool = false) {
        deadline?.cancel()
        state = .ended
        guard !isRefused else { return }
        isRefused = true
        egress.refusals.tell(EgressRefusal(host: host, port: port, reason: reason), isToldOutside: isToldOutside)
        let channel = context.channel
        // A reset, so that no server takes it for an answer that is empty.
        guard let socket = channel as? any SocketOptionProvider else { return channel.close(promise: nil) }
        socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in channel.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed {
            inputHasEnded = true
            // Before there was a whole ClientHello: none will come.
            if case .hello(let name, _, _) = state { refuse(context, name, .noTLSName) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .relaying = state { context.fireChannelReadComplete() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        state = .ended
        if isCounted { egress.leave() }
        isCounted = false
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
