import JSONText
import NIOCore

/// Answers MCP's HTTP endpoint for clients of both eras, and asks one `MCPService` in the modern dialect.
///
/// Confined to the service's loop, one per loop and endpoint kind; calls and streams of a session are reachable from all its connections
/// on that loop. Origin, authentication and body limits are the HTTP layer's and come before.
public final class MCPFront {
    static let jsonHeaders = [("Content-Type", "application/json")]
    /// A call that was silent for so long turns to a stream, whose keep-alive comments hold intermediaries.
    static let silence: TimeAmount = .seconds(10)

    let service: any MCPService
    let host: any FrontHost
    let settings: FrontSettings
    var sessions: [String: LegacySession] = [:]
    var calls: [Int: FrontCall] = [:]
    var streams: [Int: any FrontExchange] = [:]
    var listens: [Int: FrontListen] = [:]
    /// Kept for clients that lost a stream, of all sessions.
    var historyBytes = 0
    /// Our requests to clients that are not answered, and the calls that they belong to.
    var questions: [Int: Int] = [:]
    private var lastQuestion = 0
    private var lastNumber = 0
    private var sweepIsScheduled = false
    /// Requests accepted in spite of a legacy version header.
    public internal(set) var toleratedHeaders = 0

    public init(service: any MCPService, host: any FrontHost, settings: FrontSettings = FrontSettings()) {
        self.service = service
        self.host = host
        self.settings = settings
    }

    public var callsInFlight: Int { calls.count }

    /// Legacy sessions with a stream or a call: in use, though no request comes.
    public var sessionsInUse: Set<String> { Set(sessions.keys.filter { sessions[$0]?.isInUse == true }) }

    /// Answers one HTTP request, at once or later.
    public func handle(_ request: FrontRequest, caller: FrontCaller, exchange: any FrontExchange) {
        let isModern = EraRouting.isModern(header: request.protocolVersion)
        switch request.verb {
        case .post: post(request, caller, exchange)
        case .get where !isModern: openStream(request, caller, exchange)
        case .delete where !isModern: deleteSession(request, caller, exchange)
        case .get, .delete, .other:
            exchange.reply(status: 405, headers: [("Allow", isModern ? "POST" : "GET, POST, DELETE")], body: nil)
        }
    }

    /// The host ended a session by itself: its calls are cancelled and its stream closed.
    public func sessionEnded(_ id: String) {
        guard let session = sessions.removeValue(forKey: id) else { return }
        historyBytes -= session.history.bytes
        for number in session.allCalls { calls[number]?.cancel(sessionIsOver: true) }
        if let stream = session.stream { streams.removeValue(forKey: stream)?.closeStream() }
        session.listen?.cancel()
        for change in session.changes { change(.sessionEnded) }
    }

    /// The endpoint is going away: long-lived streams end in order; calls under way are left to end by themselves.
    public func closeAll() {
        let ending = (streams.values.map { $0 }, listens.values.map { $0 })
        streams = [:]
        listens = [:]
        for stream in ending.0 { stream.closeStream() }
        for listen in ending.1 { listen.end() }
    }

    // MARK: POST

    private func post(_ request: FrontRequest, _ caller: FrontCaller, _ exchange: any FrontExchange) {
        let accept = AcceptHeader(request.accept)
        guard accept.json, accept.eventStream else {
            return refuse(exchange, 406, .invalidRequest("Accept must list application/json and text/event-stream"))
        }
        if let type = request.contentType, type != "application/json",
            type.prefix(while: { $0 != ";" }).trimmed().lowercased() != "application/json"
        {
            return refuse(exchange, 415, .invalidRequest("Content-Type must be application/json"))
        }
        let envelope: Envelope
        do {
            envelope = try EnvelopeScanner.scan(request.body.readableBytesSpan, limits: ScanLimits(maximumBytes: settings.maximumBytes))
        } catch {
            if error.reason == .batch, !EraRouting.isModern(header: request.protocolVersion) { return batch(request, caller, exchange) }
            return refuse(exchange, 400, MCPError(error), id: error.isMalformed ? nil : error.id.map(request.body.slice))
        }
        switch EraRouting.route(
            header: request.protocolVersion, sessionID: request.sessionID, envelope: envelope, tolerant: settings.toleratesLegacyHeader)
        {
        case .modern: modern(request, envelope, caller, exchange, strictHeaders: true)
        case .modernTolerated:
            toleratedHeaders += 1
            modern(request, envelope, caller, exchange, strictHeaders: false)
        case .legacy: legacy(request, envelope, caller, exchange)
        }
    }

    func refuse(_ exchange: any FrontExchange, _ status: Int, _ error: MCPError, id: ByteBuffer? = nil) {
        exchange.reply(status: status, headers: Self.jsonHeaders, body: JSONRPC.error(id: id, error))
    }

    func answer(_ exchange: any FrontExchange, _ envelope: Envelope, _ message: ByteBuffer, result: ByteBuffer, headers: [(String, String)] = []) {
        let id = envelope.id.map(message.slice)
        exchange.reply(status: 200, headers: Self.jsonHeaders + headers, body: JSONRPC.response(id: id, result: result))
    }

    // MARK: Modern

    private func modern(_ request: FrontRequest, _ envelope: Envelope, _ caller: FrontCaller, _ exchange: any FrontExchange, strictHeaders: Bool) {
        let message = request.body
        if envelope.kind == .notification {
            // The revision has none on HTTP, but clients in the field send them; nobody reads the answer.
            let version = request.protocolVersion ?? envelope.protocolVersion ?? ""
            guard version == ProtocolVersion.modern || !strictHeaders else { return refuse(exchange, 400, ModernLadder.unsupported(version)) }
            return exchange.reply(status: 202, headers: [], body: nil)
        }
        if let error = ModernLadder.check(envelope, request, strictHeaders: strictHeaders) {
            return refuse(exchange, ModernLadder.status(error), error, id: envelope.id.map(message.slice))
        }
        if let fault = envelope.clientCapabilities.flatMap({ CapabilityRules.fault(in: $0, of: message.readableBytesSpan) }) {
            let error = MCPError.invalidParams("_meta's \(MetaKey.clientCapabilities)\(fault)")
            return refuse(exchange, ModernLadder.status(error), error, id: envelope.id.map(message.slice))
        }
        let call = MCPRequest(message: message, envelope: envelope, method: envelope.method ?? "")
        if strictHeaders, call.method == "tools/call", let rules = host.parameterHeaders(for: caller)[call.name ?? ""],
            let mismatch = rules.mismatch(call.arguments, header: request.headers)
        {
            let error = MCPError(code: MCPError.Code.headerMismatch, message: "Header mismatch: \(mismatch)")
            return refuse(exchange, ModernLadder.status(error), error, id: call.id)
        }
        switch call.method {
        case "server/discover":
            host.identity(for: caller, version: ProtocolVersion.modern, declaring: nil) { [self] result in
                switch result {
                case .success(let identity): answer(exchange, envelope, message, result: identity.discoverResult())
                case .failure(let error): refuse(exchange, ModernLadder.status(error), error, id: call.id)
                }
            }
        case "subscriptions/listen":
            var context = self.context(for: caller, session: nil)
            context.clientCapabilities = envelope.clientCapabilities.map(message.slice)
            listen(call, context, exchange)
        case let method where method.hasPrefix(SessionWords.prefix):
            let error = MCPError.methodNotFound(method)
            refuse(exchange, ModernLadder.status(error), error, id: call.id)
        default:
            var context = self.context(for: caller, session: nil)
            context.clientCapabilities = envelope.clientCapabilities.map(message.slice)
            start(call, era: .modern, context: context, caller: caller, exchange: exchange)
        }
    }

    // MARK: Calls and streams

    /// - Parameter session: of a client of the handshake revisions; nil for any other.
    func context(for caller: FrontCaller, session: String?, declaring capabilities: ByteBuffer? = nil) -> CallContext {
        var context = host.context(for: caller, session: session)
        context.clientCapabilities = capabilities
        context.clientEra = session == nil ? .modern : .legacy
        return context
    }

    func nextNumber() -> Int {
        lastNumber += 1
        return lastNumber
    }

    /// An id for a request of ours to a client.
    func nextQuestion() -> Int {
        lastQuestion += 1
        return lastQuestion
    }

    /// A client of a session answers a request of ours.
    func answered(_ envelope: Envelope, _ message: ByteBuffer, session: String) {
        guard let id = envelope.id.flatMap(message.integer) else { return }
        let answer: Result<ByteBuffer, MCPError>
        if let result = envelope.result {
            answer = .success(message.copy(result))
        } else if let error = envelope.error {
            answer = .failure(MCPError(object: error, in: message))
        } else {
            return
        }
        if answeredOutside(id, answer, session: session) { return }
        guard let number = questions[id], let call = calls[number], call.session == session else { return }
        call.answered(id, answer)
    }

    /// Hands a request to the service.
    ///
    /// - Parameters:
    ///   - session: the legacy session and the client's id, under which a cancel finds the call.
    ///   - primes: the client knows of events that only say where to resume.
    func start(
        _ request: MCPRequest, era: Era, context: CallContext, caller: FrontCaller, exchange: any FrontExchange,
        session: (id: String, key: RequestKey)? = nil, streams: Bool = true, primes: Bool = false
    ) {
        guard !PendingCall.isForged(in: request) else {
            return refuse(exchange, era == .modern ? 400 : 200, .invalidParams("inputResponses has the name of no question"), id: request.id)
        }
        let number = nextNumber()
        let serverInfo: () -> ByteBuffer? = { [weak self] in
            // Only an identity at hand: an answer never waits for one.
            var info: ByteBuffer?
            self?.host.identity(for: caller, version: ProtocolVersion.modern, declaring: nil) { info = (try? $0.get())?.serverInfo }
            return info
        }
        let call = FrontCall(
            number: number, era: era, request: request, context: context, session: session?.id, key: session?.key, exchange: exchange,
            streams: streams, primes: primes, front: self, serverInfo: serverInfo)
        calls[number] = call
        if let session {
            sessions[session.id, default: LegacySession()].add(number, key: session.key)
            keepListening(session: session.id, context: self.context(for: caller, session: session.id, declaring: context.clientCapabilities))
        }
        call.run(request)
        if calls[number] != nil { scheduleSweep() }
    }

    /// The calls of a session, oldest first.
    func calls(of session: String) -> [FrontCall] { sessions[session]?.allCalls.compactMap { calls[$0] } ?? [] }

    func ended(_ call: FrontCall) {
        calls[call.number] = nil
        guard let id = call.session, call.key != nil else { return }
        change(session: id) { $0.remove(call.number) }
    }

    /// Changes what is kept of a session, and forgets it when it holds nothing any more.
    func change(session id: String, _ body: (inout LegacySession) -> Void) {
        guard let index = sessions.index(forKey: id) else {
            var new = LegacySession()
            body(&new)
            if !new.isIdle { sessions[id] = new }
            return
        }
        // In place: a copy would copy what it holds. What ends with a subscription ends afterwards.
        let listen = sessions.values[index].listen
        withExtendedLifetime(listen) { body(&sessions.values[index]) }
        if sessions.values[index].isIdle { sessions.remove(at: index) }
    }

    /// `notifications/cancelled` of a legacy client.
    func cancel(_ key: RequestKey, session id: String) {
        guard let number = sessions[id]?.cancelled(key) else { return }
        calls[number]?.cancel()
    }

    /// The newest GET stream of a session takes over from an older one, which is closed.
    func adopt(stream exchange: any FrontExchange, session id: String, _ record: LegacySessionRecord, _ caller: FrontCaller, primes: Bool) {
        let number = nextNumber()
        var replaced: Int?
        change(session: id) {
            replaced = $0.open(stream: number)
            $0.history.goOn(EventHistory.sessionStream)
        }
        streams[number] = exchange
        exchange.onClientGone = { [weak self] in
            self?.streams[number] = nil
            self?.change(session: id) { $0.close(stream: number) }
            if self?.sessions[id]?.stream == nil { self?.streamEnded(EventHistory.sessionStream, session: id) }
            // A client that may come back with the id of the last event hears what it missed.
            self?.stopListeningIfUnwanted(session: id)
            self?.sessions[id]?.listen?.resume()
        }
        exchange.onResume = { [weak self] in self?.sessions[id]?.listen?.resume() }
        exchange.openStream()
        if primes { exchange.prime(id: prime(stream: EventHistory.sessionStream, session: id)) }
        if let replaced { streams.removeValue(forKey: replaced)?.closeStream() }
        // The one before may have held it up.
        sessions[id]?.listen?.resume()
        keepListening(session: id, context: context(for: caller, session: id, declaring: record.declared))
    }

    // MARK: Silence

    /// One timer for all calls, armed only while there are calls: a timer per call costs more than many a call.
    func scheduleSweep() {
        guard !sweepIsScheduled else { return }
        sweepIsScheduled = true
        service.eventLoop.assumeIsolated().scheduleTask(in: Self.silence) { [weak self] in self?.sweep() }
    }

    private func sweep() {
        sweepIsScheduled = false
        let latest = service.eventLoop.now - Self.silence
        for call in calls.values where call.startedAt <= latest { call.openStream() }
        expireHistories()
        if !calls.isEmpty || keepsHistories { scheduleSweep() }
    }
}
