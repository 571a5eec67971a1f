import JSONText
public import MCP
public import NIOCore
public import Wire

/// A server behind a URL, of either era and any of the protocol's HTTP transports, as a service in the modern dialect. Confined to its
/// event loop.
///
/// `MCP.Back` knows the protocol and thinks that it talks to a child; here its lines become HTTP requests and their answers its lines.
/// `RemoteSession` decides which conversation they belong to and what becomes of them, and `+Actions` carries it out. `+Requests` sends
/// lines, `+Answers` reads what comes, `+Stream` opens the streams that no line opened, `+Strays` has what was under way in a lost session.
public final class RemoteServer: MCPService {
    /// How long a server may take over steps that `Back` knows nothing of.
    public struct Limits: Sendable {
        /// Until a server of 2024-11-05 says where to post.
        public var endpoint = TimeAmount.seconds(10)
        /// Until `notifications/initialized` is acknowledged, behind which everything else waits.
        public var initialized = TimeAmount.seconds(20)
        /// Until a call says whether it was taken, when its session is known to be gone.
        public var stray = TimeAmount.seconds(10)
        /// Until a stream ends on which the answer has come.
        public var trailing = TimeAmount.seconds(2)
        /// Until the end of a session is acknowledged.
        public var farewell = TimeAmount.seconds(2)

        public init() {}
    }

    /// The longest message that is taken.
    static let messageLimit = ScanLimits().maximumBytes

    public let eventLoop: any EventLoop
    let sender: RemoteSender
    let limits: Limits
    var session: RemoteSession
    var calls: [CallID: RemoteCall] = [:]
    private var lastCall = 0
    var identityWaiters: [(Result<ServerIdentity, Undelivered>) -> Void] = []
    private var identity: ServerIdentity?
    var timers: [BackTimer: Scheduled<Void>] = [:]
    /// Requests on their way, by the id that they have there.
    var posts: [Int: RemotePost] = [:]
    /// Calls whose session is gone, on their way with it.
    var strays: [ObjectIdentifier: StrayCall] = [:]
    /// Messages that nobody waits for.
    var others: [ObjectIdentifier: RemotePost] = [:]
    /// The stream of what a legacy server says by itself.
    var stream: RemotePost?
    var streamTimer: Scheduled<Void>?
    /// How long lines may be held back.
    var heldTimer: Scheduled<Void>?
    /// Arguments that are repeated in headers, by tool.
    var parameterHeaders: [String: ParameterHeaders] = [:]
    /// Tools that were left out, once told.
    private var toldOf: Set<String> = []
    /// Takes a line about the server, for people; on the loop.
    public var log: ((String) -> Void)?
    /// Asked when an exchange ended without its answer, before anybody hears of it: whoever runs the server may know why, and soon.
    /// It decides once, with the reason to tell instead, or nil.
    public var explain: ((_ decide: @escaping (_ reason: String?) -> Void) -> Void)?

    /// - Parameters:
    ///   - token: a bearer token.
    ///   - security: for an `https` address.
    ///   - pool: connections that other sessions use too, and that outlive this one; without it, it has its own.
    public init(
        _ address: RemoteAddress, token: String?, security: (any ClientSecurity)? = nil, limits: Limits = Limits(),
        pool: ConnectionPool? = nil, eventLoop: any EventLoop
    ) {
        sender = RemoteSender(address, token: token, security: security, pool: pool, eventLoop: eventLoop)
        self.limits = limits
        session = RemoteSession(limits: limits)
        self.eventLoop = eventLoop
    }

    public var era: Era? { session.back.era }
    /// The revision that is spoken with it.
    public var version: String? { session.back.version }
    /// The status of the last answer that was no MCP answer, for a hint.
    public var lastStatus: Int? { session.lastStatus }
    /// The same with its content type: `HTTP 404 text/html`.
    public var lastAnswer: String? { session.lastAnswer }
    /// Whether a client that declares this is served as it declared: a session of the handshake revisions knows what it was opened with.
    public func serves(_ capabilities: ByteBuffer?) -> Bool { session.back.serves(capabilities) }
    /// Whether it is one of its own calls that this request comes back for.
    public func awaits(_ request: MCPRequest) -> Bool { session.back.awaits(request) }
    /// Calls that wait for answers of their clients.
    public var suspendedCount: Int { session.back.suspendedCount }
    /// Whether the server knows something of this session that another one would miss.
    public var holdsState: Bool { session.holdsState }

    /// Speaks the client's era where the server has it: what translation cannot carry is lost to nobody, and each client has a session of
    /// its own. Before the first call.
    public func prefer(_ era: Era) { session.prefer(era) }

    /// Speaks this era, as another session has found out. Before the first call.
    public func know(_ era: Era) { session.know(era) }

    /// The next result tells that what an earlier session of the same client knew is lost. Before the first call.
    public func tellLoss() { session.tellLoss() }

    // MARK: Calls

    public func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        call(request, in: context, sink: sink, onDelivery: nil)
    }

    /// - Parameter onDelivery: told when the request goes out: from then on it may have run.
    public func call(
        _ request: MCPRequest, in context: CallContext, sink: any MCPSink, onDelivery: (() -> Void)?
    ) -> any MCPCall {
        let call = RemoteCall(request, sink: sink, server: self)
        call.onDelivery = onDelivery
        guard session.stage != .closed else {
            sink.finish(.failed(Undelivered(.notDelivered, "the connection is closed")))
            return EndedCall()
        }
        if request.isOwn, !session.back.isReady {
            // No conversation is begun for it.
            sink.finish(.failed(Undelivered(.outcomeUnknown, "the server's session is over")))
            return EndedCall()
        }
        begin(declaring: context.clientCapabilities)
        send(call)
        return call
    }

    /// What the server said in its handshake.
    ///
    /// - Parameter capabilities: what this client can be asked, for a server that is told once.
    public func identity(declaring capabilities: ByteBuffer?, completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) {
        begin(declaring: capabilities)
        if let identity, session.back.isReady { return completion(.success(identity)) }
        identityWaiters.append(completion)
    }

    func begin(declaring capabilities: ByteBuffer?) { run(session.begin(declaring: capabilities, isIdle: calls.isEmpty)) }

    func send(_ call: RemoteCall) {
        lastCall += 1
        call.id = CallID(lastCall)
        calls[call.id] = call
        perform(session.back.send(call.request, call: call.id))
    }

    func cancel(_ call: RemoteCall) {
        if let preparation = call.preparation { return cancel(preparation) }
        if cancelStray(call) { return }
        guard calls[call.id] === call else { return }
        perform(session.back.cancel(call.id))
    }

    func resumeAll() { for post in Array(posts.values) + strays.values.map(\.post) + (stream.map { [$0] } ?? []) { post.resume() } }

    /// The server is gone, and the session with it: calls that went out may have run, the others have not. The next one begins anew.
    public func connectionLost(_ reason: String) {
        guard session.stage != .closed else { return }
        run(session.connectionLost(reason))
        endStrays()
    }

    /// Ends the session; `completion` comes when the server has heard of it, or does not answer.
    public func close(_ completion: @escaping () -> Void) {
        guard session.stage != .closed else { return completion() }
        let (left, actions) = session.close()
        run(actions)
        leave(left) { [sender] in
            sender.shutdown()
            completion()
        }
    }

    // MARK: What the protocol asks for

    @discardableResult
    func perform(_ actions: [BackAction]) -> Demand {
        var paused: Set<CallID> = []
        for action in actions {
            switch action {
            case .write(let line): run(session.write(line))
            case .notify(let id, let message):
                if calls[id]?.notify(message) == .pause { paused.insert(id) }
            case .finish(let id, let outcome): finish(id, outcome)
            case .ready(let identity, let era): ready(identity, era)
            case .handshakeFailed(let reason): run(session.handshakeFailed(reason))
            case .armTimer(let timer, let seconds): arm(timer, seconds)
            case .disarmTimer(let timer): timers.removeValue(forKey: timer)?.cancel()
            case .restartForEra, .noise, .broadcast: break
            }
        }
        return paused.contains { calls[$0] != nil } ? .pause : .more
    }

    private func finish(_ id: CallID, _ outcome: MCPOutcome) {
        guard let call = calls.removeValue(forKey: id) else { return }
        // Nobody else would: it may be the stream of all calls that waits for this one.
        if call.isPaused { resumeAll() }
        var outcome = outcome
        switch outcome {
        case .result(let result) where call.request.method == "tools/list":
            parameterHeaders.merge(ParameterHeaders.byTool(result)) { $1 }
            if era == .modern { outcome = .result(offered(result)) }
        case .error(let error) where !call.isRetried && session.isOfAnotherEra(error):
            calls[id] = call
            return run(session.eraChanged(under: id))
        case .error(let error) where error.code == MCPError.Code.headerMismatch && call.request.method == "tools/call" && !call.isRetried:
            return learnHeaders(for: call, error)
        default: break
        }
        // What is between services of ours, and of a question all but what is asked, reaches no client.
        let isRead = !call.request.isOwn && !outcome.asksClient
        if isRead, case .result(let result) = outcome, session.served(isOwn: call.sink is OwnSink) {
            outcome = .result(RestartMark.added(to: result))
        }
        call.sink.finish(outcome)
    }

    private func offered(_ list: ByteBuffer) -> ByteBuffer {
        let (list, leftOut) = ParameterHeaders.withoutMisuse(list)
        for name in leftOut where toldOf.count < 64 && toldOf.insert(name).inserted {
            log?("the server's tool \"\(name.prefix(128))\" is left out: its x-mcp-header is none that a client may follow (2026-07-28)")
        }
        return list
    }

    /// Which arguments it wants repeated in headers, only its list of tools tells.
    private func learnHeaders(for call: RemoteCall, _ refusal: MCPError) {
        call.isRetried = true
        let sink = OwnSink { [weak self] outcome in
            call.preparation = nil
            switch outcome {
            case .result where self != nil: self?.send(call)
            case .result, .error: call.sink.finish(.error(refusal))
            case .failed(let why): call.sink.finish(.failed(Undelivered(.notDelivered, why.reason)))
            }
        }
        let list = RemoteCall(MCPRequest(method: "tools/list"), sink: sink, server: self)
        call.preparation = list
        send(list)
    }

    private func arm(_ timer: BackTimer, _ seconds: Int) {
        timers[timer]?.cancel()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        timers[timer] = eventLoop.scheduleTask(in: .seconds(Int64(seconds))) {
            let server = bound.value
            server.timers[timer] = nil
            server.perform(server.session.back.timerFired(timer))
        }
    }

    private func ready(_ identity: ServerIdentity, _ era: Era) {
        self.identity = identity
        session.ready(era)
        let waiters = identityWaiters
        identityWaiters = []
        for waiter in waiters { waiter(.success(identity)) }
    }
}
