import Door
import NIOCore
import NIOPosix

/// A connection to the orchestrator's relay: one request, its answer's head, and after a yes the destination's bytes.
final class RelayConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// The relay said no.
    struct Refused: Error { let reason: EgressRefusal.Reason }
    private struct Ended: Error {}

    private(set) var channel: (any Channel)?
    private var promise: EventLoopPromise<Void>?
    private var received = ByteBuffer()
    private var context: ChannelHandlerContext?

    private static let headLimit = 4 << 10
    private static let headEnd = Array("\r\n\r\n".utf8)

    private init(_ promise: EventLoopPromise<Void>) { self.promise = promise }

    /// - Parameter request: method and target, such as `CONNECT host:port`.
    /// - Returns: once the answer was a yes. Nothing is read from then on until it is asked for.
    static func open(_ path: String, _ request: String, on loop: any EventLoop) -> EventLoopFuture<RelayConnection> {
        let answered = loop.makePromise(of: Void.self)
        let this = NIOLoopBound(RelayConnection(answered), eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.autoRead, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(this.value) }
            }
            .connect(unixDomainSocketPath: path)
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    this.value.channel = channel
                    channel.writeAndFlush(ByteBuffer(string: request + " HTTP/1.1\r\n\r\n"), promise: nil)
                    channel.read()
                case .failure(let error): this.value.fail(error)
                }
            }
        return answered.futureResult.map { this.value }
    }

    /// What came behind the answer's head goes on to the handlers that were added meanwhile.
    func handOver() {
        guard received.readableBytes > 0, let context else { return }
        let rest = received
        received = ByteBuffer()
        context.fireChannelRead(NIOAny(rest))
        context.fireChannelReadComplete()
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard promise != nil else { return context.fireChannelRead(data) }
        received.writeImmutableBuffer(unwrapInboundIn(data))
        let view = received.readableBytesView
        guard let end = view.firstRange(of: Self.headEnd) else {
            if view.count > Self.headLimit { fail(context, Ended()) }
            return
        }
        let lines = String(decoding: view[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        received.moveReaderIndex(to: end.upperBound)
        if lines.first?.hasPrefix("HTTP/1.1 200") == true { return succeed() }
        let field = "x-berth-refused: "
        let said = lines.first { $0.hasPrefix(field) }?.dropFirst(field.count)
        let reason = said.flatMap { EgressRefusal.Reason(rawValue: String($0)) }
        if let reason { fail(context, Refused(reason: reason)) } else { fail(context, Ended()) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if promise != nil { context.read() } else { context.fireChannelReadComplete() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if promise != nil, event as? ChannelEvent == .inputClosed { fail(context, Ended()) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(Ended())
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func succeed() {
        promise?.succeed()
        promise = nil
    }

    private func fail(_ context: ChannelHandlerContext, _ error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    private func fail(_ error: any Error) {
        promise?.fail(error)
        promise = nil
    }
}
