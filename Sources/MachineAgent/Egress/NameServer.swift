import Door
import NIOCore

extension Egress {
    /// Answers a question and tells what is to be told of it.
    func answer(_ question: [UInt8]) -> [UInt8]? {
        let (answer, told) = names.answer(question)
        switch told {
        case .refused(let name): refusals.tell(.init(host: name, port: 0, reason: .notAllowed))
        case .full(let name): refusals.tell(.init(host: name, port: 0, reason: .tooMany))
        case nil: break
        }
        return answer
    }
}

/// Questions for names by UDP.
final class NameDatagrams: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>
    private let egress: Egress

    init(egress: Egress) { self.egress = egress }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let answer = egress.answer(Array(envelope.data.readableBytesView)) else { return }
        // What nobody reads is dropped, not kept.
        guard context.channel.isWritable else { return }
        let reply = AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: answer))
        context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
    }

    /// Of one answer that did not arrive; the socket serves the others.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// The same by TCP: each message with its length in front. One question at a time, for ten seconds.
final class NameStream: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let egress: Egress
    private var received = ByteBuffer()
    private var isCounted = false
    private var deadline: Scheduled<Void>?

    static let timeout = TimeAmount.seconds(10)

    init(egress: Egress) { self.egress = egress }

    func channelActive(context: ChannelHandlerContext) {
        guard egress.enter() else { return context.close(promise: nil) }
        isCounted = true
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: Self.timeout) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        while let length = received.getInteger(at: received.readerIndex, as: UInt16.self) {
            guard length <= DNSQuestion.limit, context.channel.isWritable else { return context.close(promise: nil) }
            guard received.readableBytes >= 2 + Int(length) else { return }
            received.moveReaderIndex(forwardBy: 2)
            guard let question = received.readBytes(length: Int(length)), let answer = egress.answer(question) else {
                return context.close(promise: nil)
            }
            var out = ByteBuffer(integer: UInt16(answer.count))
            out.writeBytes(answer)
            context.writeAndFlush(wrapOutboundOut(out), promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        if isCounted { egress.leave() }
        isCounted = false
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
