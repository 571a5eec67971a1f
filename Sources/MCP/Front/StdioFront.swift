import JSONText
public import NIOCore

/// A STDIO server's half for one client of either era: its lines become requests at an `MCPFront`, whose answers become lines.
///
/// Bytes in, bytes out: it reads and writes nothing itself. Confined to the front's loop.
public final class StdioFront {
    private let front: MCPFront
    private let caller = FrontCaller(principal: "stdio", endpoint: "")
    private let write: (ByteBuffer) -> Demand
    private var session: String?
    private var running: [Int: StdioExchange] = [:]
    private var lastNumber = 0
    /// The stream of what a legacy server says by itself.
    private var stream: StdioExchange?
    /// Lines that came while `initialize` was being answered: they belong to the session that it opens.
    private var held: [ByteBuffer]?
    private static let maximumHeld = 1_024
    /// They are being taken now: between two of them nothing may be under way.
    private var isReplaying = false
    /// What the client declared that it can be asked for; told before the request that says so is handled.
    public var onDeclared: ((ByteBuffer) -> Void)?
    /// Nothing is unanswered any more.
    public var onIdle: (() -> Void)?

    /// - Parameter write: takes one line, its newline included; `.pause` asks for `resume()` later.
    public init(front: MCPFront, write: @escaping (ByteBuffer) -> Demand) {
        self.front = front
        self.write = write
    }

    /// Requests that are not answered, subscriptions apart.
    public var callsInFlight: Int { running.values.count { !$0.isListen } }

    /// One line of the client's, with or without its newline.
    public func received(line: ByteBuffer) {
        if let count = held?.count {
            if count < Self.maximumHeld { held?.append(line) } else { refuse(line) }
            return
        }
        let text = line.readableBytesView
        guard text.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }) else { return }
        do throws(ScanError) {
            received(line, try EnvelopeScanner.scan(line.readableBytesSpan))
        } catch {
            // Batches are the handshake revisions' own.
            if error.reason == .batch, session != nil { return start(request(line), for: nil, isListen: false) }
            _ = write(JSONRPC.error(id: error.isMalformed ? nil : error.id.map(line.slice), MCPError(error)).asLine())
        }
    }

    /// Answers a request that cannot wait with the others.
    private func refuse(_ line: ByteBuffer) {
        guard let envelope = try? EnvelopeScanner.scan(line.readableBytesSpan), envelope.method != nil, let id = envelope.id else { return }
        _ = write(JSONRPC.error(id: line.slice(id), .internalError("too many requests came before initialize was answered")).asLine())
    }

    /// A line longer than its reader accepts, of which the first bytes are left: its sender is told, by its id if they show one.
    public func receivedOversized(prefix: ByteBuffer, limit: Int) {
        var id: ByteBuffer?
        do throws(ScanError) {
            _ = try EnvelopeScanner.scan(prefix.readableBytesSpan)
        } catch {
            id = error.id.map(prefix.slice)
        }
        _ = write(JSONRPC.error(id: id, .invalidRequest("a line is longer than \(limit) bytes")).asLine())
    }

    /// The writer can take more.
    public func resume() {
        for exchange in Array(running.values) + (stream.map { [$0] } ?? []) { exchange.onResume?() }
    }

    /// The client closed its end: subscriptions and the session's stream end; calls under way go on.
    public func inputEnded() {
        for exchange in Array(running.values) where exchange.isListen { exchange.abandon() }
        stream?.abandon()
        stream = nil
        tellIfIdle()
    }

    /// The client is gone: whatever is under way is cancelled.
    public func end() {
        inputEnded()
        for exchange in Array(running.values) { exchange.abandon() }
        if let session {
            var request = FrontRequest(verb: .delete)
            request.sessionID = session
            front.handle(request, caller: caller, exchange: StdioExchange(nil, key: nil, isListen: false))
        }
        session = nil
    }

    private func received(_ line: ByteBuffer, _ envelope: Envelope) {
        if envelope.kind == .notification, session == nil {
            // The stateless revision cancels by naming the request.
            guard envelope.method == "notifications/cancelled", let key = envelope.requestID.flatMap({ RequestKey($0, in: line) }) else { return }
            for exchange in Array(running.values) where exchange.key == key { exchange.abandon() }
            return
        }
        if let declared = envelope.clientCapabilities ?? envelope.initializeCapabilities { onDeclared?(line.copy(declared)) }
        var request = request(line)
        if let version = envelope.protocolVersion {
            request.sessionID = nil
            request.protocolVersion = version
            request.mcpMethod = envelope.method
            request.mcpName = (envelope.name ?? envelope.uri ?? envelope.taskID).map(HeaderValue.encode)
        }
        start(request, for: envelope, isListen: envelope.method == "subscriptions/listen")
        if envelope.method == "notifications/initialized" { openStream() }
    }

    private func request(_ line: ByteBuffer) -> FrontRequest {
        var request = FrontRequest(verb: .post, body: line)
        request.accept = "application/json, text/event-stream"
        request.contentType = "application/json"
        request.sessionID = session
        return request
    }

    private func start(_ request: FrontRequest, for envelope: Envelope?, isListen: Bool) {
        lastNumber += 1
        let number = lastNumber
        let isInitialize = envelope?.method == "initialize"
        let key = envelope?.id.flatMap { RequestKey($0, in: request.body) }
        let exchange = StdioExchange(self, key: key, isListen: isListen)
        exchange.onEnd = { [weak self] headers in
            guard let self else { return }
            running[number] = nil
            if isInitialize {
                if let id = headers.first(where: { $0.0.lowercased() == "mcp-session-id" })?.1 { session = id }
                let lines = held ?? []
                held = nil
                isReplaying = true
                for line in lines { received(line: line) }
                isReplaying = false
            }
            tellIfIdle()
        }
        running[number] = exchange
        if isInitialize { held = [] }
        front.handle(request, caller: caller, exchange: exchange)
    }

    private func openStream() {
        guard let session, stream == nil else { return }
        var request = FrontRequest(verb: .get)
        request.accept = "text/event-stream"
        request.sessionID = session
        let exchange = StdioExchange(self, key: nil, isListen: true)
        stream = exchange
        exchange.onEnd = { [weak self] _ in self?.stream = nil }
        front.handle(request, caller: caller, exchange: exchange)
    }

    private func tellIfIdle() {
        if callsInFlight == 0, !isReplaying, held?.isEmpty ?? true { onIdle?() }
    }

    fileprivate func send(_ message: ByteBuffer) -> Demand { write(message.asLine()) }
}

/// The answering half of one request, on a stream that all requests share.
private final class StdioExchange: FrontExchange {
    private weak var front: StdioFront?
    let key: RequestKey?
    let isListen: Bool
    private var hasEnded = false
    var onEnd: (([(String, String)]) -> Void)?
    var onClientGone: (() -> Void)?
    var onResume: (() -> Void)?

    init(_ front: StdioFront?, key: RequestKey?, isListen: Bool) {
        self.front = front
        self.key = key
        self.isListen = isListen
    }

    func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) {
        guard !hasEnded else { return }
        if let body, body.readableBytes > 0 { _ = front?.send(body) }
        end(headers)
    }

    func openStream() {}
    func event(_ data: ByteBuffer, id: String?) -> Demand { hasEnded ? .more : front?.send(data) ?? .more }
    func prime(id: String) {}
    func endpoint(_ uri: String) {}
    func closeStream() { end([]) }

    /// The client does not want it any more.
    func abandon() {
        guard !hasEnded else { return }
        let gone = onClientGone
        end([])
        gone?()
    }

    private func end(_ headers: [(String, String)]) {
        guard !hasEnded else { return }
        hasEnded = true
        let told = onEnd
        onEnd = nil
        onClientGone = nil
        onResume = nil
        told?(headers)
    }
}
