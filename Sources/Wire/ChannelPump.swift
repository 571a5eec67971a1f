public import NIOCore

/// One half of a relay between two channels of one loop: carries bytes to its partner, and reads only while the partner can write, so
/// that a slow end slows the other one down. A half-close is passed on; the end of one channel closes the other once everything is
/// written. Both channels have `autoRead` off and remote half-closure allowed.
public final class ChannelPump: ChannelDuplexHandler {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    private var partner: ChannelPump?
    private var channel: ChannelHandlerContext?
    private var isWanting = false

    private init() {}

    /// The two halves, not yet in a pipeline.
    private static func pair() -> (near: ChannelPump, far: ChannelPump) {
        let (near, far) = (ChannelPump(), ChannelPump())
        (near.partner, far.partner) = (far, near)
        return (near, far)
    }

    /// Puts the two halves into the pipelines of two channels of one loop; both channels are closed where that cannot be done.
    ///
    /// - Returns: The halves, which do not read yet; nil where the channels are closed.
    public static func join(_ near: any Channel, _ far: any Channel) -> (near: ChannelPump, far: ChannelPump)? {
        let halves = pair()
        do {
            try far.pipeline.syncOperations.addHandler(halves.far)
            try near.pipeline.syncOperations.addHandler(halves.near)
            return halves
        } catch {
            far.close(promise: nil)
            near.close(promise: nil)
            return nil
        }
    }

    public func handlerAdded(context: ChannelHandlerContext) { channel = context }

    public func handlerRemoved(context: ChannelHandlerContext) {
        channel = nil
        partner = nil
    }

    /// Begins to read; its partner must be in its pipeline too.
    public func begin() { readIfPossible() }

    private var canTake: Bool { channel?.channel.isWritable ?? false }

    private func readIfPossible() {
        guard let channel, let partner else { return }
        if partner.canTake {
            isWanting = false
            channel.read()
        } else {
            isWanting = true
        }
    }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) { partner?.channel?.write(data, promise: nil) }

    public func channelReadComplete(context: ChannelHandlerContext) {
        partner?.channel?.flush()
        readIfPossible()
    }

    public func channelWritabilityChanged(context: ChannelHandlerContext) {
        if let partner, partner.isWanting { partner.readIfPossible() }
        context.fireChannelWritabilityChanged()
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { partner?.channel?.close(mode: .output, promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    public func channelInactive(context: ChannelHandlerContext) {
        partner?.finish()
        partner = nil
        context.fireChannelInactive()
    }

    /// Closes once everything that the other end sent is written.
    private func finish() {
        partner = nil
        guard let channel = channel?.channel else { return }
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in channel.close(promise: nil) }
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
