import JSONText
import NIOCore

/// One client of the transport of 2024-11-05: its stream, and the session that it opens with `initialize`.
final class SSEStream {
    private let front: MCPFront
    private let caller: FrontCaller
    private let exchange: any FrontExchange
    private var ended: (() -> Void)?
    private var session: String?
    private var isDraining = false
    /// The client does not read: what has gone onto its stream since then.
    private var unread: Int?
    /// Bytes that may wait for a client that does not read; beyond it the stream ends.
    static let unreadLimit = 16 << 20
    /// Answers that are still to come, and what the session hears of by itself.
    private var parts: [ObjectIdentifier: SSEPart] = [:]

    /// - Parameter ended: called once, when the stream is over.
    init(front: MCPFront, caller: FrontCaller, exchange: any FrontExchange, ended: @escaping () -> Void) {
        self.front = front
        self.caller = caller
        self.exchange = exchange
        self.ended = ended
        exchange.onClientGone = { [weak self] in self?.end() }
        exchange.onResume = { [weak self] in
            self?.unread = nil
            for part in self.map({ Array($0.parts.values) }) ?? [] { part.onResume?() }
        }
    }

    func belongs(to other: FrontCaller) -> Bool { other.principal == caller.principal && other.endpoint == caller.endpoint }

    /// Takes a message of the client's: its answer comes on the stream. What is no message at all is refused at once.
    func post(_ request: FrontRequest, caller: FrontCaller, exchange: any FrontExchange) {
        let envelope = try? EnvelopeScanner.scan(request.body.readableBytesSpan)
        // Clients of both eras ask which of them is spoken; an error of the newer one's would say that it is.
        if let envelope, envelope.kind == .request, envelope.protocolVersion != nil {
            _ = send(JSONRPC.error(id: envelope.id.map(request.body.slice), .methodNotFound(envelope.method ?? "")))
            return exchange.reply(status: 202, headers: [], body: nil)
        }
        // Acknowledged at once, its calls are bounded by nothing else.
        if unread != nil, envelope?.kind == .request {
            return front.refuse(exchange, 429, .invalidRequest("the stream is not being read: read it, then call again"))
        }
        var message = FrontRequest(verb: .post, body: request.body)
        message.contentType = request.contentType
        message.accept = "application/json, text/event-stream"
        message.sessionID = session
        let part = add()
        front.handle(message, caller: caller, exchange: part)
        if let refusal = part.accepted() {
            exchange.reply(status: refusal.status, headers: refusal.headers, body: refusal.body)
        } else {
            exchange.reply(status: 202, headers: [], body: nil)
        }
    }

    /// Ends the stream when what is under way has been answered.
    func drain() {
        isDraining = true
        for part in parts.values where part.isFeed { forget(part) }
        if parts.isEmpty { end() }
    }

    /// Ends the stream in order, and with it the session: nobody could resume it.
    func end() {
        guard let callback = ended else { return }
        ended = nil
        exchange.closeStream()
        parts = [:]
        if let session { delete(session) }
        callback()
    }

    // MARK: For the parts

    func send(_ message: ByteBuffer) -> Demand {
        guard ended != nil else { return .more }
        let demand = exchange.event(message, id: nil)
        if demand == .pause { unread = (unread ?? 0) + message.readableBytes }
        if let unread, unread > Self.unreadLimit { end() }
        return demand
    }

    func finished(_ part: SSEPart) {
        parts[ObjectIdentifier(part)] = nil
        if part.isFeed || isDraining && parts.isEmpty { end() }
    }

    /// `initialize` was answered.
    func opened(_ session: String) {
        guard ended != nil else { return delete(session) }
        // A client that initializes again has left its first session.
        if let old = self.session { delete(old) }
        self.session = session
        var get = FrontRequest(verb: .get)
        get.accept = "text/event-stream"
        get.sessionID = session
        front.handle(get, caller: caller, exchange: add(isFeed: true))
    }

    private func add(isFeed: Bool = false) -> SSEPart {
        let part = SSEPart(self, isFeed: isFeed)
        parts[ObjectIdentifier(part)] = part
        return part
    }

    private func delete(_ session: String) {
        var request = FrontRequest(verb: .delete)
        request.sessionID = session
        for part in parts.values where part.isFeed { forget(part) }
        front.handle(request, caller: caller, exchange: SSEPart(nil, isFeed: false))
    }

    private func forget(_ part: SSEPart) {
        parts[ObjectIdentifier(part)] = nil
        part.leave()
    }
}

/// The exchange of one message: what would be its own answer goes onto the client's one stream.
final class SSEPart: FrontExchange {
    struct Refusal {
        var status: Int
        var headers: [(String, String)]
        var body: ByteBuffer?
    }

    /// It carries what the session hears of by itself.
    let isFeed: Bool
    private var stream: SSEStream?
    private var isAccepted = false
    private var refusal: Refusal?
    var onClientGone: (() -> Void)?
    var onResume: (() -> Void)?

    /// - Parameter stream: nil when nobody hears the answer.
    init(_ stream: SSEStream?, isFeed: Bool) {
        self.stream = stream
        self.isFeed = isFeed
    }

    /// Its POST is about to be answered: with what was refused by now, or else with nothing but thanks.
    func accepted() -> Refusal? {
        isAccepted = true
        return refusal
    }

    func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) {
        guard let stream else { return }
        if status >= 400, !isAccepted, !isFeed {
            refusal = Refusal(status: status, headers: headers, body: body)
        } else if let body {
            _ = stream.send(body)
        }
        let session = headers.first { $0.0 == "Mcp-Session-Id" }?.1
        finish()
        if let session { stream.opened(session) }
    }

    /// The session ends with its one stream.
    var isResumable: Bool { false }

    func openStream() {}
    func prime(id: String) {}
    func endpoint(_ uri: String) {}
    func event(_ data: ByteBuffer, id: String?) -> Demand { stream?.send(data) ?? .more }
    func closeStream() { finish() }

    /// Nothing of it is heard any more.
    func leave() { stream = nil }

    private func finish() {
        let stream = stream
        self.stream = nil
        stream?.finished(self)
    }
}
