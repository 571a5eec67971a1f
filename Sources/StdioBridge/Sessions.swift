import JSONText
public import MCP
public import NIOCore

/// The bridge: a child per session and credentials, each behind its own queue. Confined to one event loop.
public final class Sessions: MCPService {
    public let eventLoop: any EventLoop
    let limits: BridgeLimits
    let environment: Child.Environment
    private let failures: Failures
    var children: [SessionKey: Child] = [:]
    /// Draining, stopping or still being cleaned up after.
    var leaving: [ObjectIdentifier: Child] = [:]
    var seats: Seats<ObjectIdentifier>
    var seatTimer: Scheduled<Void>?
    /// Whom the next answer is to tell that its server is another one.
    var retired = RetiredSessions()
    /// A child that has served nobody: it goes to the first session without credentials.
    var spare: Child?
    var keeper: SpareKeeper
    var spareTimer: Scheduled<Void>?
    /// What a probe found out.
    var era: Era?
    /// What the server said of itself in each era that it was spoken to.
    var identities: [Era: ServerIdentity] = [:]
    /// The server refused the handshake of a client that speaks those revisions: it is spoken to in the other era alone.
    var refusesHandshake = false
    /// Which era the last process was found to speak without saying so.
    var guessedEra: Era?
    var sweep: Scheduled<Void>?
    /// How often the idle ones were looked at.
    var sweeps = 0
    /// Nothing is left of this session's child, and no other has taken its place.
    public var onGone: ((SessionKey) -> Void)?
    /// Whether so many children more would still have memory; asked before a spare is started, and while one waits.
    public var hasMemory: ((_ more: Int) -> Bool)?
    var draining = false

    private final class Failures {
        var last: ChildFailure?
        var added: ((ChildFailure) -> Void)?

        func add(_ failure: ChildFailure) {
            last = failure
            added?(failure)
        }
    }

    /// - Parameters:
    ///   - plan: the process to start for a session; on the loop, asked for every start.
    ///   - log: one line for the operator; on the loop, must not block.
    ///   - showsErrors: gives callers the end of a failed server's standard error, masked: for its author alone.
    ///   - tracing: shows every message between the bridge and its children.
    ///   - cleanedUp: what a plan wants afterwards has run, to success or as often as it is tried; on the loop.
    public init(
        eventLoop: any EventLoop, reaper: Reaper, limits: BridgeLimits = BridgeLimits(),
        plan: @escaping (SessionKey) -> Result<SpawnPlan, Undelivered>, log: @escaping (String) -> Void,
        cleanedUp: @escaping (SpawnPlan.Afterwards, _ succeeded: Bool) -> Void = { _, _ in }, tracing: Tracer.Settings? = nil,
        showsErrors: Bool = false
    ) {
        self.eventLoop = eventLoop
        self.limits = limits
        seats = Seats(limit: limits.children, queue: limits.waiting)
        keeper = SpareKeeper(isOn: limits.spare, delay: limits.spareDelay)
        let failures = Failures()
        self.failures = failures
        environment = Child.Environment(
            loop: eventLoop, reaper: reaper, limits: limits, plan: plan, log: log, failed: { failures.add($0) }, cleanedUp: cleanedUp,
            tracing: tracing, showsErrors: showsErrors)
    }

    // MARK: Calls

    public func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        call(request, in: context, sink: sink, onDelivery: nil)
    }

    /// - Parameter onDelivery: told when the server has been handed all of the request: from then on it may have run.
    public func call(
        _ request: MCPRequest, in context: CallContext, sink: any MCPSink, onDelivery: (() -> Void)?
    ) -> any MCPCall {
        // A call that waits for its client ends where it began, also at a child that takes no new one.
        if request.envelope.requestState != nil, let asker = everyone.first(where: { $0.key.id == context.session.id && $0.awaits(request) }) {
            defer { tendSeats() }
            return asker.call(request, deadline: context.deadline, sink: sink, onDelivery: onDelivery)
        }
        if request.isOwn, !hasChild(for: context.session, declaring: context.clientCapabilities) {
            // None is made for it: what it would wait for ended with the last one.
            sink.finish(.failed(Child.overWhileAsked))
            return EndedCall()
        }
        switch child(for: context.session, declaring: context.clientCapabilities, client: context.clientEra) {
        case .success(let child):
            defer { tendSeats() }
            return child.call(request, deadline: context.deadline, sink: sink, onDelivery: onDelivery)
        case .failure(let why):
            sink.finish(.failed(why))
            return EndedCall()
        }
    }

    /// What the session's child said in its handshake; starts it if need be.
    ///
    /// - Parameter capabilities: what its client can be asked, which a server that starts for this is told.
    public func identity(
        for key: SessionKey, declaring capabilities: ByteBuffer? = nil, completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void
    ) {
        switch child(for: key, declaring: capabilities) {
        case .success(let child):
            child.withIdentity(declaring: capabilities, completion)
            tendSeats()
        case .failure(let why): completion(.failure(why))
        }
    }

    /// A request of Berth's own, such as what a server offers, to the child that nobody uses yet; the next session takes it
    /// over all the same.
    @discardableResult
    public func callSpare(_ request: MCPRequest, sink: any MCPSink, onDelivery: (() -> Void)? = nil) -> any MCPCall {
        switch unused() {
        case .success(let child):
            defer { tendSeats() }
            return child.call(request, deadline: .now() + .seconds(60), sink: sink, onDelivery: onDelivery)
        case .failure(let why):
            sink.finish(.failed(why))
            return EndedCall()
        }
    }

    private func child(
        for key: SessionKey, declaring capabilities: ByteBuffer? = nil, client: Era = .modern
    ) -> Result<Child, Undelivered> {
        if draining { return .failure(Self.closed) }
        let key = variant(of: key, declaring: capabilities)
        if let child = children[key], !child.hasEnded, !child.isDraining {
            guard let capabilities, child.isIdle, !child.serves(capabilities), .now() - child.lastUse >= limits.rest else { return .success(child) }
            retire(child, "its client can be asked for other things")
        }
        for (other, child) in children where other.id == key.id && other.session != key.session { retire(child, "the session's credentials changed") }

        dropEndedSpare()
        if let gone = spare, gone.isAsleep {
            // It died after it was spoken to, and waits as long as its own failures say; they are nothing of this session's.
            spare = nil
            retire(gone, "its process has ended")
        }
        let handshakeFirst = opensWithHandshake(for: client)
        let isOthers = spare.map { isOfOtherEra($0, handshakeFirst: handshakeFirst) } ?? false
        var predecessor: Child?
        if let told = spare, !isOthers, key.fingerprint.isEmpty, told.back.hasRefusedUnheard || !told.back.serves(capabilities) {
            // It served the probe, and knows of a client that can be asked nothing, or that did not answer.
            spare = nil
            retire(told, "it was told of another client")
            predecessor = told
        }
        let child: Child
        let isOfUse = key.fingerprint.isEmpty && !seats.isCapped(holder(key)) && !isOthers
        let waiting = isOfUse ? spare : nil
        if let waiting {
            spare = nil
            child = waiting
            child.adopt(key)
            seats.assign(ObjectIdentifier(child), to: holder(key))
        } else {
            guard seats.admits(holder(key)) else { return .failure(Self.full) }
            child = make(key, for: holder(key))
            if let predecessor { child.follow(predecessor) }
        }
        if handshakeFirst, !child.back.isOpened { child.openWithHandshake(isKnownModern: era == .modern) }
        children[key] = child
        if retired.take(key.id) { child.untoldRestart = true }
        keeper.sessionCame(withCredentials: !key.fingerprint.isEmpty, tookSpare: child === waiting, now: .now())
        tendSpare()
        scheduleSweep()
        return .success(child)
    }

    private func hasChild(for key: SessionKey, declaring capabilities: ByteBuffer?) -> Bool {
        children[variant(of: key, declaring: capabilities)].map { !$0.hasEnded && !$0.isDraining } ?? false
    }

    /// Children that one session may have at a time.
    private static let variants = 4

    /// A legacy server knows of its client what its handshake said, and a client that speaks request by request may say more in a later
    /// one: then that one gets a child of its own. The key of a child that serves, or of the one to start.
    private func variant(of key: SessionKey, declaring capabilities: ByteBuffer?) -> SessionKey {
        if let child = children[key], !child.hasEnded, !child.isDraining, capabilities == nil || child.serves(capabilities) { return key }
        let keys = (0..<Self.variants).map { key.with(variant: $0) }
        let living = keys.filter { key in children[key].map { !$0.hasEnded && !$0.isDraining } ?? false }
        let serving = living.first { key in capabilities == nil || children[key]?.serves(capabilities) == true }
        if let free = serving ?? keys.first(where: { !living.contains($0) }) { return free }
        // Whoever was told of less asks for less: the one that nobody has used for longest makes room, if for long enough.
        let rested = living.compactMap { children[$0] }.filter { $0.isIdle && .now() - $0.lastUse >= limits.rest }
        return rested.min { $0.lastUse < $1.lastUse }?.key ?? key
    }

    func make(_ key: SessionKey, for holder: Seats<ObjectIdentifier>.Holder) -> Child {
        let child = Child(key: key, era: era, environment: environment)
        seat(child, for: holder)
        child.onEraKnown = { [weak self, weak child] era in
            guard let self else { return }
            identities[era] = child?.identity
            learn(era, from: child)
            keeper.handshaken(withCredentials: child?.key.fingerprint.isEmpty == false, now: .now())
            tendSpare()
        }
        child.onEraLost = { [weak self] in
            self?.era = nil
            self?.identities = [:]
        }
        child.onEnded = { [weak self] in self?.forget($0) }
        child.onCallEnded = { [weak self, weak child] in
            guard let self else { return }
            tendSeats()
            if child === spare { tendSpare() }
        }
        child.onAsleep = { [weak self, weak child] in
            guard let self, let child, child === spare else { return }
            keeper.died(now: .now())
            tendSpare()
        }
        return child
    }

    static let closed = Undelivered(.notDelivered, "draining")
    static let full = Undelivered(.notDelivered, Child.noRoom)

    // MARK: Reports

    public func reports() -> [ChildReport] {
        let now = NIODeadline.now()
        return everyone.map { $0.report(now: now) }
    }

    public var lastFailure: ChildFailure? { failures.last }
    /// Told of every process that ends without being asked to, or does not finish its handshake; on the loop.
    public var onFailure: ((ChildFailure) -> Void)? {
        get { failures.added }
        set { failures.added = newValue }
    }
    public var isDraining: Bool { draining }
    /// Children that exist, those that are leaving included.
    public var count: Int { everyone.count }
    /// Children at most.
    public var maximumSessions: Int { limits.children }
    /// Children that somebody waits for.
    public var busy: Int { everyone.count { !$0.isIdle } }
    /// The process that waits for the next session.
    public var sparePID: Int32? { spare?.process?.pid }
    /// Ids of the sessions that have a child, those that are leaving included.
    public var sessionIDs: Set<String> { Set(everyone.map(\.key.id)) }

    var everyone: [Child] { Array(children.values) + Array(leaving.values) + (spare.map { [$0] } ?? []) }
}
