import MCP
import NIOCore
import Wire

/// Sends requests to one origin, with the token that is for it, and goes where it moves them. Confined to its event loop.
final class RemoteSender {
    private static let maximumMoves = 5
    private let pool: ConnectionPool
    private let ownsPool: Bool
    private let token: String?
    private(set) var address: RemoteAddress

    init(_ address: RemoteAddress, token: String?, security: (any ClientSecurity)?, pool: ConnectionPool? = nil, eventLoop: any EventLoop) {
        self.address = address
        self.token = token
        ownsPool = pool == nil
        if let pool {
            self.pool = pool
            return
        }
        var configuration = ConnectionPool.Configuration()
        configuration.security = security
        self.pool = ConnectionPool(eventLoop: eventLoop, configuration: configuration)
    }

    /// - Parameter target: of the same origin; without one, the server's URL.
    func send(_ post: RemotePost, to target: RemoteAddress? = nil) {
        let target = target ?? address
        post.sender = self
        post.target = target
        let (verb, body) = (post.request.verb, post.request.body)
        var head = ByteBuffer()
        head.writeRequestLine(method: verb, target: target.path)
        head.writeField("host", target.authority)
        if let token { head.writeField("authorization", "Bearer \(token)") }
        for (name, value) in post.headers { head.writeField(name, value) }
        if let body { head.writeField("content-length", body.readableBytes) }
        head.writeHeadEnd()
        post.started(pool.request(to: target.endpoint, head: head, body: body, options: ExchangeOptions(method: verb), handler: post))
    }

    /// Whether an answer moves a request of that verb. 302 and 303 say of a POST that it was taken.
    static func isMove(_ status: Int, of verb: String) -> Bool {
        switch status {
        case 301, 307, 308: true
        case 302, 303: verb == "GET"
        default: false
        }
    }

    /// Sends a request again, to where its answer says that it belongs.
    ///
    /// - Returns: Why not, else nil. Another origin is never followed: whoever gave the URL must say that it may have the token.
    func move(_ post: RemotePost, status: Int, to reference: String) -> Undelivered? {
        guard let old = post.target, let target = old.resolving(reference) else {
            return Undelivered(.notDelivered, "the server answered HTTP \(status) with a location that is no URL")
        }
        guard target.isSameOrigin(as: old) else {
            let place = "\(target.url), which is another origin; give that URL"
            return Undelivered(.notDelivered, "the server answered HTTP \(status): it has moved to \(place)")
        }
        guard post.moves < Self.maximumMoves else {
            return Undelivered(.notDelivered, "the server moved the request more than \(Self.maximumMoves) times")
        }
        post.moves += 1
        if status == 301 || status == 308, old.path == address.path { address = target }
        send(post, to: target)
        return nil
    }

    func shutdown() { if ownsPool { pool.shutdown() } }
}
