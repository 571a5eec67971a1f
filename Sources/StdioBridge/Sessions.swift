public import MCP
public import NIOCore

/// The bridge: a child per session and credentials, each behind its own queue. Confined to one event loop.
public final class Sessions: MCPService {
    public let eventLoop: any EventLoop
    private let limits: BridgeLimits
    private let environment: Child.Environment
    private let failures: Failures
    private var children: [SessionKey: Child] = [:]
    /// Draining, stopping or still being cleaned up after.
    private var leaving: [ObjectIdentifier: Child] = [:]
    /// A child that answered the handshake and has served nobody: it goes to the first session without credentials.
    private var spare: Child?
    private var era: Era?
    private var sweep: Scheduled<Void>?
    /// Nothing is left of this session's child, and no other has taken its place.
    public var onGone: ((SessionKey) -> Void)?
    private var draining = false

    private final class Failures { var last: ChildFailure? }

    /// - Parameters:
    ///   - plan: the process to start for a session; on the loop, asked for every start.
    ///   - log: one line for the operator; on the loop, must not block.
    public init(
        eventLoop: any EventLoop, reaper: Reaper, limits: BridgeLimits = BridgeLimits(),
        plan: @escaping (SessionKey) -> Result<SpawnPlan, Undelivered>, log: @escaping (String) -> Void
    ) {
        self.eventLoop = eventLoop
        self.limits = limits
        let failures = Failures()
        self.failures = failures
        environment = Child.Environment(
            loop: eventLoop, reaper: reaper, limits: limits, plan: plan, log: log, failed: { failures.last = $0 })
    }

    // MARK: Calls

    public func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        switch child(for: context.session) {
        case .success(let child):
            return child.call(request, deadline: context.deadline, sink: sink)
        case .failure(let why):
            sink.finish(.failed(why))
            return FinishedCall()
        }
    }

    /// What the session's child said in its handshake; starts it if need be.
    public func identity(for key: SessionKey, completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) {
        switch child(for: key) {
        case .success(let child): child.withIdentity(completion)
        case .failure(let why): completion(.failure(why))
        }
    }

    /// Proves that the server answers MCP, by a child that nobody has used yet; the next session takes it over.
    public func warm(completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) {
        if draining { return completion(.failure(Undelivered(.notDelivered, "draining"))) }
        for child in children.values where child.isProven { if let identity = child.identity { return completion(.success(identity)) } }
        let child: Child
        if let spare {
            child = spare
        } else {
            child = make(SessionKey(id: ""))
            spare = child
            scheduleSweep()
        }
        child.withIdentity(completion)
    }

    /// A request of our own to the child that nobody uses yet, after `warm`.
    func callSpare(_ request: MCPRequest, sink: any MCPSink) {
        guard let child = spare ?? children.values.first else {
            return sink.finish(.failed(Undelivered(.notDelivered, "no server is running")))
        }
        _ = child.call(request, deadline: .now() + .seconds(60), sink: sink)
    }

    private func child(for key: SessionKey) -> Result<Child, Undelivered> {
        if draining { return .failure(Undelivered(.notDelivered, "draining")) }
        if let child = children[key], !child.hasEnded, !child.isDraining { return .success(child) }
        for (other, child) in children where other.id == key.id && other != key { retire(child, "the session's credentials changed") }

        let child: Child
        if key.fingerprint.isEmpty, let waiting = spare, !waiting.hasEnded {
            spare = nil
            child = waiting
            child.adopt(key)
        } else {
            guard makeRoom() else { return .failure(Undelivered(.notDelivered, "too many sessions on this server")) }
            child = make(key)
        }
        children[key] = child
        scheduleSweep()
        return .success(child)
    }

    private func make(_ key: SessionKey) -> Child {
        let child = Child(key: key, era: era, environment: environment)
        child.onEraKnown = { [weak self] in self?.era = $0 }
        child.onEnded = { [weak self] in self?.forget($0) }
        return child
    }

    private func makeRoom() -> Bool {
        if children.count + (spare == nil ? 0 : 1) < limits.children { return true }
        if let spare {
            self.spare = nil
            retire(spare, "making room")
            return true
        }
        guard let oldest = children.values.filter(\.isIdle).min(by: { $0.lastRequest < $1.lastRequest }) else { return false }
        retire(oldest, "making room for another session")
        return true
    }

    // MARK: Ending

    /// Ends a session's children; the completion comes when nothing of them is left.
    public func end(session id: String, completion: @escaping (Bool) -> Void) {
        let found = children.values.filter { $0.key.id == id }
        stop(found, "the session was ended") { completion(!found.isEmpty) }
    }

    /// Takes no new call; children end as their calls finish.
    public func drain(completion: @escaping () -> Void) {
        draining = true
        let all = everyone
        var left = all.count
        if left == 0 { return completion() }
        for child in all {
            child.drain("draining") {
                left -= 1
                if left == 0 { completion() }
            }
        }
    }

    /// Ends every child by the ladder.
    public func shutdown(completion: @escaping () -> Void) {
        draining = true
        sweep?.cancel()
        stop(everyone, "shutting down", completion: completion)
    }

    private var everyone: [Child] { Array(children.values) + Array(leaving.values) + (spare.map { [$0] } ?? []) }

    private func stop(_ found: [Child], _ reason: String, completion: @escaping () -> Void) {
        var left = found.count
        if left == 0 { return completion() }
        for child in found {
            leave(child)
            child.stop(reason) {
                left -= 1
                if left == 0 { completion() }
            }
        }
    }

    private func retire(_ child: Child, _ reason: String) {
        leave(child)
        child.drain(reason)
    }

    private func leave(_ child: Child) {
        if children[child.key] === child { children[child.key] = nil }
        if spare === child { spare = nil }
        leaving[ObjectIdentifier(child)] = child
    }

    private func forget(_ child: Child) {
        leave(child)
        leaving[ObjectIdentifier(child)] = nil
        if children[child.key] == nil { onGone?(child.key) }
    }

    private func scheduleSweep() {
        guard sweep == nil else { return }
        let interval = min(max(limits.idle.nanoseconds / 4, 20_000_000), 15_000_000_000)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleTask(in: .nanoseconds(interval)) {
            bound.value.sweep = nil
            bound.value.endIdle(now: .now())
        }
    }

    private func endIdle(now: NIODeadline) {
        for child in children.values where child.isIdle {
            if now - child.lastRequest >= limits.idle {
                retire(child, "idle")
            } else if now - child.born >= limits.age {
                retire(child, "its time is over")
            }
        }
        if let spare, spare.isIdle, now - spare.lastRequest >= limits.idle { retire(spare, "idle") }
        if !children.isEmpty || spare != nil { scheduleSweep() }
    }

    // MARK: Reports

    public func reports() -> [ChildReport] {
        let now = NIODeadline.now()
        return everyone.map { $0.report(now: now) }
    }

    public var lastFailure: ChildFailure? { failures.last }
    public var isDraining: Bool { draining }
    /// Children that exist, those that are leaving included.
    public var count: Int { everyone.count }
}

/// The handle of a call that ended before it began.
private final class FinishedCall: MCPCall {
    func cancel() {}
    func resume() {}
}
