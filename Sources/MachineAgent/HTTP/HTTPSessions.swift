import JSONText
import MCP
import NIOCore
import RemoteClient
import StdioBridge
import Wire

/// The sessions of a machine whose server speaks HTTP: one process for all, and an MCP session of its own for each of the gateway's.
/// Confined to its loop.
///
/// `HostedServer` has the process, `HTTPSession` a conversation; here is which call belongs to which. `+Ending` has how they leave,
/// `+Server` what the process tells.
final class HTTPSessions: SessionHost {
    struct Limits {
        /// At one time; each holds a stream and some memory of the server. The agent has 1,024 descriptors.
        var sessions = 128
        /// Calls under way, each with a connection. The last quarter is never one owner's alone.
        var calls = 256
        var callsOfOne: Int { calls - calls / 4 }
        /// A session without a request for so long is ended.
        var idle = TimeAmount.minutes(15)
        /// How long draining sessions may finish their calls.
        var drain = TimeAmount.seconds(30)
        /// A request of Berth's own.
        var probe = TimeAmount.seconds(60)
        /// The era that is spoken with the server, as an admin knows it.
        var speaksHandshake = false
    }

    let eventLoop: any EventLoop
    let limits: Limits
    let hosted: HostedServer
    /// Of all sessions: a connection may cost the server a thread, and most sessions are idle.
    let pool: ConnectionPool
    var sessions: [SessionKey: HTTPSession] = [:]
    /// Sessions whose end the server is still being told.
    var leaving: [ObjectIdentifier: HTTPSession] = [:]
    /// Berth's own session: it shakes hands, and asks what the server offers.
    var prober: HTTPSession
    /// The handshake's connection broke off.
    var hasBrokenOff = false
    /// What the handshake found out.
    var identity: ServerIdentity?
    var readiness: [(Result<ServerIdentity, Undelivered>) -> Void] = []
    var retired = RetiredSessions()
    var callsInFlight = 0
    /// Of each owner that has any.
    var callsOfOwner: [String: Int] = [:]
    var sweep: Scheduled<Void>?
    var isDraining = false
    var whenEmpty: [() -> Void] = []
    var onGone: ((SessionKey) -> Void)?
    /// What the process left is removed, or its removal has been given up.
    var onCleanedUp: ((SpawnPlan.Afterwards, _ completely: Bool) -> Void)?

    init(hosted: HostedServer, limits: Limits = Limits()) {
        eventLoop = hosted.loop
        self.hosted = hosted
        self.limits = limits
        var connections = ConnectionPool.Configuration()
        connections.idlePerEndpoint = 8
        // The servers of Python and Node close one that was idle for 5 s, and a request that meets that end may have run or not.
        connections.idleTimeout = .seconds(2)
        pool = ConnectionPool(eventLoop: hosted.loop, configuration: connections)
        prober = HTTPSession(key: SessionKey(id: ""), client: .modern, owesLoss: false)
        hosted.owner = self
        watch(prober)
    }

    // MARK: Calls

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        call(request, in: context, sink: sink, onDelivery: nil)
    }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink, onDelivery: (() -> Void)?) -> any MCPCall {
        let call = HTTPCall(request, in: context, sink: sink, onDelivery: onDelivery)
        // A call that waits for its client ends where it began.
        if request.envelope.requestState != nil, let asker = sessions.values.first(where: { $0.key.id == context.session.id && $0.awaits(request) }) {
            return begin(call, in: asker)
        }
        if request.isOwn, sessions[variant(of: context.session, declaring: context.clientCapabilities)] == nil {
            // None is begun for it: what it would wait for ended with the last one.
            call.fail(Undelivered(.outcomeUnknown, "the call ended at its server while the client was asked"))
            return call
        }
        switch session(for: context.session, declaring: context.clientCapabilities, client: context.clientEra) {
        case .success(let session): return begin(call, in: session)
        case .failure(let why): call.fail(why)
        }
        return call
    }

    func probe(_ request: MCPRequest, sink: any MCPSink, onDelivery: (() -> Void)?) -> any MCPCall {
        let deadline = NIODeadline.now() + limits.probe
        let call = HTTPCall(request, in: CallContext(session: prober.key, deadline: deadline), sink: sink, onDelivery: onDelivery)
        begin(call, in: prober)
        call.limit(to: deadline, on: eventLoop)
        return call
    }

    @discardableResult
    private func begin(_ call: HTTPCall, in session: HTTPSession) -> any MCPCall {
        guard !isDraining else {
            call.fail(Self.closed)
            return call
        }
        guard callsInFlight < limits.calls else {
            call.fail(Undelivered(.notDelivered, "too many calls in flight to this server"))
            return call
        }
        guard callsOfOwner[session.key.owner, default: 0] < limits.callsOfOne else {
            call.fail(Undelivered(.notDelivered, "too many calls of one principal in flight to this server"))
            return call
        }
        callsInFlight += 1
        callsOfOwner[session.key.owner, default: 0] += 1
        session.add(call, isUp: hosted.isReady)
        wake(for: session)
        return call
    }

    // MARK: Readiness

    func ready(_ completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) {
        if isDraining { return completion(.failure(Self.closed)) }
        if hosted.isReady, let identity { return completion(.success(identity)) }
        // What a call hears besides is when the next start is; of no use to who waits for the first.
        if let why = hosted.machine.settledFault(now: .now()) { return completion(.failure(Undelivered(.notDelivered, why))) }
        readiness.append(completion)
        hosted.want(hosted.key ?? prober.key)
    }

    func ready(for key: SessionKey, _ completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) {
        switch session(for: key, declaring: nil, client: .modern) {
        case .failure(let why): completion(.failure(why))
        case .success(let session):
            session.identify(declaring: nil, isUp: hosted.isReady, completion)
            wake(for: session)
        }
    }

    private func wake(for session: HTTPSession) {
        guard session.isWaiting else { return }
        // The probe takes the server as it is.
        hosted.want(session === prober ? hosted.key ?? session.key : session.key.session)
    }

    // MARK: Which session

    private func session(for key: SessionKey, declaring capabilities: ByteBuffer?, client: Era) -> Result<HTTPSession, Undelivered> {
        if isDraining { return .failure(Self.closed) }
        if let why = refusal(of: key) { return .failure(why) }
        let key = variant(of: key, declaring: capabilities)
        if let session = sessions[key] { return .success(session) }
        switch SessionRoom.admit(key.owner, among: seats, limit: limits.sessions) {
        case .free: break
        case .retire(let other): if let session = sessions[other] { retire(session, "making room for another session") }
        case .full: return .failure(Undelivered(.notDelivered, "the server's sessions are all busy"))
        }
        let session = HTTPSession(key: key, client: client, owesLoss: retired.take(key.id))
        watch(session)
        sessions[key] = session
        // Its conversation begins with its first call.
        if hosted.isReady { session.flush { conversation(at: hosted.url) } }
        scheduleSweep()
        return .success(session)
    }

    /// One process serves all sessions of the machine, with the credentials that it was started with.
    private func refusal(of key: SessionKey) -> Undelivered? {
        guard hosted.machine.isRunning, let running = hosted.key, running.fingerprint != key.fingerprint else { return nil }
        guard sessions.values.contains(where: { $0.key.fingerprint == running.fingerprint }) else {
            // Nobody but the probe has used it.
            hosted.replace(for: key)
            return nil
        }
        return Undelivered(
            .notDelivered, "the machine's HTTP server runs with other credentials, and one process serves all of its sessions")
    }

    /// Sessions that one client may have at a time: a server of the handshake revisions knows of its client what its handshake said, and one
    /// that speaks request by request may say more later.
    private static let variants = 4

    private func variant(of key: SessionKey, declaring capabilities: ByteBuffer?) -> SessionKey {
        let keys = (0..<Self.variants).map { key.with(variant: $0) }
        let serving = keys.first { sessions[$0]?.serves(capabilities) == true }
        return serving ?? keys.first { sessions[$0] == nil } ?? key
    }

    private var seats: [SessionRoom.Seat<SessionKey>] {
        sessions.map { SessionRoom.Seat(id: $0.key, owner: $0.key.owner, isIdle: $0.value.isIdle, since: $0.value.lastUse) }
    }

    static let closed = Undelivered(.notDelivered, "draining")

    // MARK: Reports

    func reports() -> [ChildReport] { (Array(sessions.values) + Array(leaving.values)).map(report) }

    private func report(_ session: HTTPSession) -> ChildReport {
        ChildReport(
            session: session.key.id, pid: hosted.process?.pid,
            state: leaving[ObjectIdentifier(session)] != nil ? "ending" : hosted.state,
            era: session.remote?.era?.rawValue, version: session.remote?.version, callsInFlight: session.callsInFlight, starts: hosted.starts,
            idleSeconds: (NIODeadline.now() - session.lastUse).nanoseconds / 1_000_000_000)
    }

    var server: ChildReport? {
        ChildReport(
            session: "", pid: hosted.process?.pid, state: hosted.state, era: prober.remote?.era?.rawValue, version: prober.remote?.version,
            callsInFlight: callsInFlight, starts: hosted.starts, idleSeconds: 0, stderrBytes: hosted.process?.bytes ?? 0)
    }

    var lastFailure: ChildFailure? { hosted.lastFailure }
    var count: Int { sessions.count + leaving.count }
    var busy: Int { ([prober] + sessions.values + leaving.values).count { !$0.isIdle } }
    var sparePID: Int32? { nil }
    var sessionIDs: Set<String> { Set((Array(sessions.keys) + leaving.values.map(\.key)).map(\.id)) }
}
