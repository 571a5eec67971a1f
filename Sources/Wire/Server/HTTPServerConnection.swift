import NIOCore
import NIOHTTP1

/// One client's connection: NIO's request decoder in front of it (which refuses smuggling shapes), our bytes out. One
/// request at a time; what a client sends ahead waits, unread where possible.
final class HTTPServerConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// Waits for a head.
        case idle
        case collecting(HTTPRequestHead, bodyLimit: Int)
        case serving(ServerExchange)
        /// The last answer is written; what still arrives is thrown away so that the client gets to read it.
        case lingering
        case closed
    }

    let limits: ServerLimits
    let delegate: any ServerDelegate
    let registry: ServerLoop
    private(set) var peer = ServerPeer()
    var context: ChannelHandlerContext?
    var phase = Phase.idle
    private var waiting = CircularBuffer<HTTPServerRequestPart>(initialCapacity: 4)
    private var body = BodyAccumulator()
    private var isPumping = false
    private var readIsWithheld = false
    var isDraining = false
    lazy var clock = ConnectionClock { [weak self] in self?.expired($0) }
    /// What the answer to the present request has to know of it.
    var request = RequestFacts()
    var output = OutputState()
    var standing = Standing()
    var shared: ServerShared { registry.shared }

    struct RequestFacts {
        var keepAlive = true
        var isHead = false
        var minorVersion = 1
    }

    init(registry: ServerLoop) {
        self.registry = registry
        limits = registry.limits
        delegate = registry.delegate
    }

    // MARK: - Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        countStranger()
        registry.add(self)
        if context.channel.isActive { begin(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        ended()
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        ended()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        waiting.append(unwrapInboundIn(data))
        pump()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .collecting(let head, _) = phase, charge(body: body.readableBytes, of: head), clock.reason != .body {
            clock.arm(.body, after: limits.bodyTimeout, on: context.eventLoop)
        }
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        // While something waits there is no need to read more; a client that closes is noticed all the same.
        if waiting.isEmpty {
            context.read()
        } else {
            readIsWithheld = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            output.stalledWith = nil
            output.stalledSince = nil
            standing.output.release(in: shared.output)
            switch phase {
            case .serving(let exchange):
                clock.disarm()
                exchange.resume()
            case .idle:
                clock.arm(.idle, after: idleTimeout, on: context.eventLoop)
            case .collecting, .lingering, .closed:
                break
            }
            pump()
        } else {
            output.stalledSince = .now()
            watchStall()
        }
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError else {
            context.close(promise: nil)
            return
        }
        switch phase {
        case .idle, .collecting:
            // Requests that came before the malformed one are answered; there are none in these phases.
            refuse(Self.status(of: error), message: "malformed request")
        case .serving:
            request.keepAlive = false
            waiting.removeAll()
        case .lingering, .closed:
            break
        }
    }

    // MARK: - Requests

    /// Takes what has arrived until a request is being served.
    func pump() {
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        while mayAccept, let part = waiting.popFirst() { accept(part) }
        if waiting.isEmpty, readIsWithheld {
            readIsWithheld = false
            context?.read()
        }
    }

    private var mayAccept: Bool {
        switch phase {
        // A client that does not read its answers gets no further ones.
        case .idle: context?.channel.isWritable == true
        case .collecting, .lingering: true
        case .serving: false
        case .closed: false
        }
    }

    private func accept(_ part: HTTPServerRequestPart) {
        switch (phase, part) {
        case (.idle, .head(let head)):
            begin(head)
        case (.collecting(_, let limit), .body(let piece)):
            if body.readableBytes + piece.readableBytes > limit {
                refuse(413, message: HTTPError.bodyTooLarge.reason)
            } else {
                body.append(piece)
            }
        case (.collecting(let head, _), .end):
            serve(head)
        default:
            break
        }
    }

    private func begin(_ received: HTTPRequestHead) {
        clock.disarm()
        let head = HeadRules.trimmed(received)
        standing.payer = nil
        let asksForUpgrade = head.method == .CONNECT || head.headers.contains(name: "upgrade")
        request = RequestFacts(
            // After an upgrade that we do not grant the decoder reads no further request.
            keepAlive: head.isKeepAlive && !asksForUpgrade, isHead: head.method == .HEAD, minorVersion: head.version.minor)
        // As it came: what frames the body must be beyond any reading.
        if let error = HeadRules.violation(received, limits: limits.http) {
            refuse(error.status, message: error.reason)
            return
        }
        let limit: Int
        switch delegate.admit(head, peer: peer) {
        case .accept(let bodyLimit, let payer):
            limit = bodyLimit ?? limits.bodyBytes
            standing.payer = payer
        case .refuse(let status, let headers, let answer):
            refuse(status, headers: headers, body: answer)
            return
        }
        let length = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
        guard length <= limit else {
            refuse(413, message: HTTPError.bodyTooLarge.reason)
            return
        }
        if length > 0, let payer = standing.payer, !hasRoom(for: length, payer: payer) { return }
        if let expectation = head.headers.first(name: "expect"), head.version.minor > 0 {
            guard expectation.lowercased() == "100-continue" else {
                refuse(417, message: "unknown expectation")
                return
            }
            if length > 0 || head.headers.contains(name: "transfer-encoding") { writeContinue() }
        }
        phase = .collecting(head, bodyLimit: limit)
    }

    private func serve(_ head: HTTPRequestHead) {
        guard let context, charge(body: body.readableBytes, of: head, isWhole: true) else { return }
        clock.disarm()
        let exchange = ServerExchange(head: head, body: body.take(), peer: peer, eventLoop: context.eventLoop, connection: self)
        phase = .serving(exchange)
        countStranger()
        delegate.handle(exchange)
        exchange.dropBody()
    }

    /// Nothing of the request is kept.
    func dropBody() {
        _ = body.take()
        standing.body.release(in: shared.bodies)
    }

    /// The present request is answered: the next one may come.
    func exchangeEnded() {
        guard let context, case .serving = phase else { return }
        output.endStream()
        standing.body.release(in: shared.bodies)
        standing.quietSince = .now()
        guard request.keepAlive, !isDraining else {
            linger()
            return
        }
        phase = .idle
        countStranger()
        if context.channel.isWritable {
            clock.arm(.idle, after: idleTimeout, on: context.eventLoop)
        } else {
            watchStall()
        }
        pump()
    }

    /// The server closes: idle connections end now, others after their answer.
    func drain() {
        isDraining = true
        switch phase {
        case .idle where waiting.isEmpty: closeIdle()
        case .serving(let exchange): exchange.drain()
        case .idle, .collecting, .lingering, .closed: break
        }
    }

    // MARK: - Begin and end

    private func begin(_ context: ChannelHandlerContext) {
        guard clock.reason == nil else { return }
        clock.arm(.head, after: limits.headTimeout, on: context.eventLoop)
        PeerCredentials.peer(of: context.channel).assumeIsolated().whenSuccess { self.peer = $0 }
    }

    private func ended() {
        let last = phase
        if case .closed = last { return }
        phase = .closed
        countStranger()
        clock.end()
        output.endStream()
        waiting.removeAll()
        dropBody()
        standing.output.release(in: shared.output)
        registry.remove(self)
        if case .serving(let exchange) = last { exchange.clientGone() }
    }

    private static func status(of error: HTTPParserError) -> Int {
        switch error {
        case .headerOverflow: 431
        case .invalidVersion: 505
        default: 400
        }
    }
}
