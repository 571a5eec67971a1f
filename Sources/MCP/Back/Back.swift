import JSONText
import NIOCore

/// The client's half of one STDIO child: finds out its era, translates calls to it and its answers back. A pure state machine: it says
/// what to write and when to set a timer, and does neither.
///
/// ```
/// idle ─start─► probing ─modern answer─► ready(modern)
///    │             ├─any other answer, silence─► initializing ─result─► ready(legacy)
///    │             └─end of the child─► idle (once, then straight to initializing)
///    ├─era legacy─► initializing
///    └─handshake first─► initializing ─result─► ready(legacy)
///                          ├─error─► probing ─modern answer─► ready(modern)
///                          └─known modern: silence, end of the child─► idle (once, then straight to probing)
/// ```
public struct Back {
    /// What is known of a child's era beforehand. A server that speaks both answers a probe as a modern one.
    public enum EraChoice: String, Sendable, CaseIterable { case auto, legacy, modern }

    /// What is said to a server first, of which an admin says nothing.
    public enum Opening: Sendable {
        /// The probe; the handshake where it is not answered as a modern server does.
        case probe
        /// The handshake, and the probe where that is refused: for a client of those revisions, since what translation cannot carry is lost
        /// to nobody then. With `isKnownModern` another process has answered a probe, and one that is silent or ends is
        /// followed by one that is probed.
        case handshake(isKnownModern: Bool)
    }

    enum Phase {
        case idle
        case probing(id: Int)
        /// `probe`: a probe that may still be answered; `probed`: this process has seen one; `late`: it was answered as a modern server
        /// answers, but after we had given up on it.
        case initializing(id: Int, probe: Int?, probed: Bool, late: ServerIdentity?)
        case legacy(LegacyBack)
        case modern(ModernBack)
        case ended(Undelivered)
    }

    var client: ClientIdentity
    let limits: ScanLimits
    let probeSeconds: Int
    let handshakeSeconds: Int
    let inputSeconds: Int
    let canAsk: Bool
    let isOneSessions: Bool
    let makeHandle: @Sendable () -> String
    var choice: EraChoice
    let opening: Opening
    /// Why the server did not take the handshake that came first.
    var refusal: String?
    /// A process ended over it: this one is probed.
    var isProbedNext = false
    /// A process ended over the probe: this one is not probed.
    private var isLegacyNext = false
    var phase = Phase.idle
    var correlator = Correlator()
    var suspensions = Suspensions()
    var listens = LegacyListens()
    var unheard = Unheard()
    /// The child asked before a session listened, and none did in time: whoever uses it later will not be asked that.
    public internal(set) var hasRefusedUnheard = false
    /// Questions of the child so far.
    var questions = 0
    /// Calls that came before the handshake was done, in order.
    var waiting: [(call: CallID, request: MCPRequest)] = []
    public internal(set) var counters = BackCounters()
    /// The revision that is spoken with the child, once it is known.
    public internal(set) var version: String?

    /// - Parameters:
    ///   - client: what the child is told of its client.
    ///   - era: an admin's knowledge; `.auto` probes.
    ///   - opening: with `.auto`, what is said first.
    ///   - probeSeconds: how long a silent child is taken for a modern one (a server may take seconds to start).
    ///   - handshakeSeconds: after that a child that has not finished the handshake is given up.
    ///   - inputSeconds: how long a call waits for the answers of its client.
    ///   - canAsk: false for a child that several clients share: a legacy server's question does not say whom it is for, so it is refused.
    ///   - isOneSessions: no other session uses the child: only then is what it says and asks outside of calls a session's to hear.
    ///   - makeHandle: what such a call is found by again; unguessable.
    public init(
        client: ClientIdentity = .berth, era: EraChoice = .auto, opening: Opening = .probe, limits: ScanLimits = ScanLimits(),
        probeSeconds: Int = 5, handshakeSeconds: Int = 60, inputSeconds: Int = 300, canAsk: Bool = true, isOneSessions: Bool = true,
        makeHandle: @escaping @Sendable () -> String = RandomID.hex128
    ) {
        self.client = client
        self.limits = limits
        self.probeSeconds = probeSeconds
        self.handshakeSeconds = handshakeSeconds
        self.inputSeconds = inputSeconds
        self.canAsk = canAsk
        self.isOneSessions = isOneSessions
        self.makeHandle = makeHandle
        choice = era
        self.opening = era == .auto ? opening : .probe
    }

    /// The child's era, once it is known.
    public var era: Era? {
        switch phase {
        case .legacy: .legacy
        case .modern: .modern
        case .idle, .probing, .initializing, .ended: nil
        }
    }

    public var isReady: Bool { era != nil }

    /// Whether anything was said to the child.
    public var isOpened: Bool { if case .idle = phase { false } else { true } }

    /// Calls sent and not answered, and calls that wait for the handshake.
    public var callsInFlight: Int { correlator.count + waiting.count }

    /// Calls that wait for answers of their clients; the child must live on for them.
    public var suspendedCount: Int { suspensions.callCount }

    /// Questions of no call that a client was asked.
    public var questionCount: Int { suspensions.count - suspensions.callCount - unheard.questions.count }

    /// Whether nobody was asked that question so far.
    public func isUnheard(_ handle: String) -> Bool { unheard.questions.contains { $0.handle == handle } }

    /// What the child is told that its client can be asked for.
    public var declared: ByteBuffer { client.capabilities }

    /// Whose call has this id on the child's side.
    public func caller(of id: Int) -> CallID? { correlator[id]?.call }

    /// Whether a caller with these capabilities gets what it declared: a legacy child knows only what its handshake said.
    public func serves(_ capabilities: ByteBuffer?) -> Bool {
        switch phase {
        case _ where !canAsk: true
        case .idle, .modern: true
        case .probing, .initializing, .legacy, .ended:
            capabilities == client.capabilities
                || ClientCapabilities(client.capabilities).isSuperset(of: ClientCapabilities(capabilities))
        }
    }

    /// What the first caller can be asked for, which the child is told in its handshake. Later it is too late.
    public mutating func declare(_ capabilities: ByteBuffer) {
        guard canAsk, case .idle = phase else { return }
        // The tasks of 2025-11-25 are another wire than the modern extension and are never bridged.
        client.capabilities = capabilities.removingMembers { $0 == "tasks" }
    }

    /// The child runs: open the conversation.
    public mutating func start() -> [BackAction] {
        guard case .idle = phase else { return [] }
        let handshake = BackAction.armTimer(.handshake, seconds: handshakeSeconds)
        if choice == .legacy { return [handshake] + initialize(probe: nil, probed: false) }
        guard case .handshake(let isKnownModern) = opening, !isProbedNext else { return [handshake] + probe() }
        return [handshake] + initialize(probe: nil, probed: false) + (isKnownModern ? [.armTimer(.probe, seconds: max(1, handshakeSeconds / 4))] : [])
    }

    /// The era was concluded from the end or the silence of a process, and from no answer: somebody may have ended that one.
    public var isEraGuessed: Bool {
        switch phase {
        case .modern: isProbedNext && refusal == nil
        case .legacy: isLegacyNext
        case .idle, .probing, .initializing, .ended: false
        }
    }

    /// What the handshake, which came first, met with.
    var whyNotLegacy: String? { refusal ?? (isProbedNext ? "the server did not take initialize" : nil) }
    private var isKnownModern: Bool { if case .handshake(true) = opening { true } else { false } }
    var isHandshakeFirst: Bool { if case .handshake = opening { true } else { false } }

    mutating func probe() -> [BackAction] {
        let id = correlator.allocate()
        phase = .probing(id: id)
        let probe = MCPRequest(method: "server/discover", client: client).renumbered(id: id)
        return [.write(probe.asLine())] + (choice == .auto ? [.armTimer(.probe, seconds: probeSeconds)] : [])
    }

    /// Passes a call on, or keeps it until the child is ready.
    public mutating func send(_ request: MCPRequest, call: CallID) -> [BackAction] {
        if request.method.hasPrefix(SessionWords.prefix) { return told(request, call: call) }
        // Only a call that waits here can be waited for: nothing of it is for a server.
        if request.isWait, era == .modern || request.envelope.requestState == nil { return [.finish(call, .error(Self.unknownState))] }
        switch phase {
        case .idle, .probing, .initializing:
            waiting.append((call, request))
            return []
        case .ended(let undelivered):
            return [.finish(call, .failed(undelivered))]
        case .legacy(let back):
            if request.method == "server/discover" { return [.finish(call, .result(back.identity.discoverResult()))] }
            if request.method == "subscriptions/listen" { return listen(request, call: call, back.identity) }
            // Answers without a state belong to nothing that waits here: the call begins anew, and asks again.
            // Any call of a client of the handshake revisions may have ended with a question.
            if request.envelope.requestState != nil, InputRequired.methods.contains(request.method) || request.isWait || suspended(request) != nil {
                return resume(request, call: call)
            }
            if back.refuses(request.method) { return [.finish(call, .error(.methodNotFound(request.method)))] }
            var actions = levelChange(request)
            let id = correlator.open(call, request)
            actions.append(.write(back.message(request, id: id).asLine()))
            return actions
        case .modern(let back):
            if request.method == "server/discover" { return [.finish(call, .result(back.identity.discoverResult()))] }
            let id = correlator.open(call, request)
            return [.write(back.message(request, id: id).asLine())]
        }
    }

    /// What must be said first to a child whose log level is its process's.
    mutating func levelChange(_ request: MCPRequest) -> [BackAction] {
        guard case .legacy(var back) = phase, let level = back.levelChange(request) else { return [] }
        phase = .legacy(back)
        let params = JSONValue.object(["level": .string(level)]).buffer
        return [.write(JSONRPC.request(id: correlator.allocate(), "logging/setLevel", params: params).asLine())]
    }

    /// The caller does not want the answer any more.
    public mutating func cancel(_ call: CallID) -> [BackAction] {
        if let index = waiting.firstIndex(where: { $0.call == call }) {
            waiting.remove(at: index)
            return [.finish(call, .failed(Undelivered(.notDelivered, "the call was cancelled")))]
        }
        if let actions = endListen(call) { return actions }
        if suspensions.unwatch(call) { return [.finish(call, .failed(Undelivered(.outcomeUnknown, "the call was cancelled")))] }
        guard let id = correlator.close(call: call) else { return [] }
        return [
            .write(Self.cancelled(id)),
            .finish(call, .failed(Undelivered(.outcomeUnknown, "the call was cancelled"))),
        ] + settledByEnd()
    }

    public mutating func timerFired(_ timer: BackTimer) -> [BackAction] {
        switch (timer, phase) {
        case (.probe, .probing(let id)):
            if let whyNotLegacy { return fail(whyNotLegacy) }
            return initialize(probe: id, probed: true)
        case (.probe, .initializing) where isKnownModern && !isProbedNext:
            // Another process, since this one may still be at it, and would then hear the other era in the middle of the handshake.
            return restartProbed()
        case (.input(let handle), _):
            return inputExpired(handle)
        case (.handshake, .probing), (.handshake, .initializing):
            return fail("the server did not finish the handshake within \(handshakeSeconds) s")
        default:
            return []
        }
    }

    /// The child's output ended. Everything under way is finished, except that a child which died over the probe gets a second chance.
    public mutating func closed(reason: String) -> [BackAction] {
        switch phase {
        case .probing where refusal != nil:
            return fail(refusal ?? reason)
        case .probing where choice == .auto && !isProbedNext:
            return restartLegacy([.disarmTimer(.probe), .disarmTimer(.handshake)])
        case .initializing(_, _, true, _) where choice == .auto:
            return restartLegacy([.disarmTimer(.handshake)])
        case .initializing where isKnownModern && !isProbedNext:
            return restartProbed()
        case .ended:
            return []
        case .idle, .probing, .initializing, .legacy, .modern:
            let timers: [BackAction] = isReady ? [] : [.disarmTimer(.probe), .disarmTimer(.handshake)]
            return timers + end(reason)
        }
    }

    private mutating func restartProbed() -> [BackAction] {
        isProbedNext = true
        phase = .idle
        return [.disarmTimer(.probe), .disarmTimer(.handshake), .restartForEra]
    }

    private mutating func restartLegacy(_ timers: [BackAction]) -> [BackAction] {
        choice = .legacy
        isLegacyNext = true
        phase = .idle
        return timers + [.restartForEra]
    }

    /// Sends `initialize`. `probe` is the id of a probe that may still be answered.
    mutating func initialize(probe: Int?, probed: Bool) -> [BackAction] {
        let id = correlator.allocate()
        phase = .initializing(id: id, probe: probe, probed: probed, late: nil)
        var params = ByteBuffer(string: #"{"protocolVersion":"\#(ProtocolVersion.latestLegacy)","capabilities":"#)
        params.writeImmutableBuffer(client.capabilities)
        params.writeStaticString(#","clientInfo":"#)
        params.writeImmutableBuffer(client.info)
        params.writeStaticString("}")
        return [.write(JSONRPC.request(id: id, "initialize", params: params).asLine())]
    }

    /// The handshake is done: say so, then send what waited.
    mutating func ready(_ identity: ServerIdentity, _ era: Era) -> [BackAction] {
        if era == .modern { version = ProtocolVersion.modern }
        phase = era == .modern ? .modern(ModernBack(identity: identity, client: client)) : .legacy(LegacyBack(identity: identity))
        var actions: [BackAction] = [.disarmTimer(.probe), .disarmTimer(.handshake), .ready(identity, era)]
        let calls = waiting
        waiting = []
        for (call, request) in calls { actions += send(request, call: call) }
        return actions
    }

    mutating func fail(_ reason: String) -> [BackAction] {
        [.disarmTimer(.probe), .disarmTimer(.handshake)] + end(reason) + [.handshakeFailed(reason)]
    }

    private mutating func end(_ reason: String) -> [BackAction] {
        phase = .ended(Undelivered(.notDelivered, reason))
        let sent = correlator.closeAll().compactMap { entry in
            entry.call.map { BackAction.finish($0, .failed(Undelivered(.outcomeUnknown, reason))) }
        }
        let listening = listens.removeAll().map { BackAction.finish($0, .failed(Undelivered(.outcomeUnknown, reason))) }
        let unsent = waiting.map { BackAction.finish($0.call, .failed(Undelivered(.notDelivered, reason))) }
        waiting = []
        return endSuspensions(reason) + sent + listening + unsent
    }
}
