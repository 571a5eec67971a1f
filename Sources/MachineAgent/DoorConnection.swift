import Door
import JSONText
import MCP
import NIOCore
import StdioBridge
import Wire

/// One connection to the door: HTTP/1.1, one request at a time. The token is verified on the head, before a byte of the
/// body is looked at; a refusal ends the connection, and the end of the connection cancels its call.
final class DoorConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let server: DoorServer
    private let channel: any Channel
    private var reader = HTTPRequestReader()
    private var head: RequestHead?
    private var route: DoorRoute?
    private var claims: HostedToken.Claims?
    private var body = BodyAccumulator()
    private var exchange: DoorExchange?
    private var closing = false

    init(server: DoorServer, channel: any Channel) {
        self.server = server
        self.channel = channel
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if closing { return }
        reader.feed(unwrapInboundIn(data))
        // While an answer is due nothing may follow: what does is read no further than this.
        if exchange != nil, reader.buffered > 64 << 10 { return context.close(promise: nil) }
        if exchange == nil { advance() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { exchange?.resume() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        closing = true
        exchange?.gone()
        exchange = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    // MARK: Reading

    private func advance() {
        do throws(HTTPError) {
            while !closing, exchange == nil, let event = try reader.next() {
                switch event {
                case .head(let head): received(head)
                case .body(let bytes): body.append(bytes)
                case .end: dispatch()
                }
            }
        } catch {
            refuse(error.status, code: "bad_request", message: error.reason)
        }
    }

    private func received(_ head: RequestHead) {
        self.head = head
        switch server.verifier.verify(headerValues: head.fields.values(of: HostedToken.headerName)) {
        case .failure(let refusal):
            server.log(.warning, "refused: \(refusal.rawValue)")
            return end(DoorExchange.answer(401, refusal.body, keepAlive: false))
        case .success(let claims):
            self.claims = claims
        }
        switch DoorRoute.find(method: head.method, path: String(head.path)) {
        case .failure(.notFound): return refuse(404, code: "not_found", message: "no such path")
        case .failure(.methodNotAllowed): return refuse(405, code: "method_not_allowed", message: "not with this method")
        case .success(let route):
            self.route = route
        }
        guard let route, let claims, route.takesAppTokens || !claims.audience.isApp else {
            return refuse(403, code: DoorErrorCode.appToken, message: "a token for the app may call, and no more: this needs one for the machine")
        }
        let limit: Int
        switch route {
        case .mcp: limit = 16 << 20
        case .credentials, .keys: limit = CredentialSet.maximumSize + 1024
        default: limit = 64 << 10
        }
        if case .length(let length) = head.framing, length > limit { return refuse(413, code: "too_large", message: "body too large") }
        if head.framing == .chunked { return refuse(411, code: "length_required", message: "a length is required") }
        reader.startBody(limit: limit)
    }

    private func dispatch() {
        guard let head, let route, let claims else { return }
        let exchange = DoorExchange(channel: channel, keepAlive: head.keepAlive) { [weak self] keepAlive in self?.finished(keepAlive) }
        self.exchange = exchange
        DoorDispatch(server: server, claims: claims, head: head, body: body.take(), exchange: exchange).run(route)
    }

    private func finished(_ keepAlive: Bool) {
        exchange = nil
        head = nil
        route = nil
        claims = nil
        body = BodyAccumulator()
        if closing { return }
        guard keepAlive else {
            closing = true
            channel.close(promise: nil)
            return
        }
        reader.nextRequest()
        advance()
    }

    // MARK: Refusing

    private func refuse(_ status: Int, code: String, message: String) {
        end(DoorExchange.answer(status, DoorExchange.error(code, message), keepAlive: false))
    }

    private func end(_ answer: ByteBuffer) {
        closing = true
        let channel = NIOLoopBound(channel, eventLoop: channel.eventLoop)
        channel.value.writeAndFlush(answer).whenComplete { _ in channel.value.close(promise: nil) }
    }
}
