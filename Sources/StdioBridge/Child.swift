import JSONText
import MCP
import NIOCore

/// The child of one session: it outlives its processes, which come and go below it. Confined to its event loop.
final class Child {
    /// What a child is made of; shared by all children of a bridge.
    struct Environment {
        let loop: any EventLoop
        let reaper: Reaper
        let limits: BridgeLimits
        /// The process to start for this session: asked anew for every start.
        let plan: (SessionKey) -> Result<SpawnPlan, Undelivered>
        let log: (String) -> Void
        /// A process ended without being asked to.
        let failed: (ChildFailure) -> Void
        /// What runs after a process has run, to success or as often as it is tried.
        let cleanedUp: (SpawnPlan.Afterwards, _ succeeded: Bool) -> Void
        /// What shows the messages of every process; nil: nothing does.
        let tracing: Tracer.Settings?
        /// Whether callers are shown the end of the server's standard error: where they are its author.
        let showsErrors: Bool
    }

    var key: SessionKey
    let environment: Environment
    var machine: ChildStateMachine
    var back: Back
    /// What its first caller declared that it can be asked for: every process of this child is told.
    private(set) var declared: ByteBuffer?
    var process: ChildProcess?
    var plan: SpawnPlan?
    /// Which start the events belong to.
    var starts = 0
    var calls: [CallID: ChildCall] = [:]
    var waiting: [ChildCall] = []
    /// Subscriptions between two processes: the next one is asked again.
    var parked: [ChildCall] = []
    var nextCall = 0
    var timer: Scheduled<Void>?
    /// Fires at the earliest deadline of a call, or before it.
    var deadlineTimer: (at: NIODeadline, task: Scheduled<Void>)?
    /// It has no seat yet: its calls wait until another child is gone, for as long as this timer lets them.
    private(set) var isHeld = false
    private var heldTimer: Scheduled<Void>?
    /// It follows another one, of whose process something is left: its calls wait, for as long as this timer lets them.
    var followTimer: Scheduled<Void>?
    /// Its server has asked its client by an answer, and may know of that in memory alone: it stays for the client's next words.
    var keptForAnswer = NIODeadline.uptimeNanoseconds(0)
    var backTimers: [BackTimer: Scheduled<Void>] = [:]
    var backSawEnd = false
    var eraRestart = false
    /// This start's failure was told before its process ended.
    var hasToldFailure = false
    /// A process that had served this session is gone, and no answer has told so yet.
    var untoldRestart = false
    /// Its output is held up for callers that do not read.
    var readingPaused: Bool { process?.isReading == false }
    var cleanups = 0
    var stopped: [() -> Void] = []
    var draining = false
    private var drainTimer: Scheduled<Void>?
    /// Its process is to be another one once nobody waits for this one's answers.
    var isRenewing = false
    var renewalTimer: Scheduled<Void>?
    /// Of processes that are gone.
    var kept = KeptAnswers()
    var keptTimer: Scheduled<Void>?
    /// The failure of the last process, if any of its callers was told one.
    var incident: String?
    /// The end of the standard error of a process that is gone.
    var lastWords = ""
    /// Of the running process, where messages are shown.
    var tracer: Tracer?
    var identityWaiters: [(Result<ServerIdentity, Undelivered>) -> Void] = []
    var noise = 0
    /// The last line of it that this process wrote before its handshake was done, where callers are shown such things.
    var lastNoise: String?
    /// Answers of the running process to what it was never asked.
    var strays = 0
    var identity: ServerIdentity?
    var era: Era?
    /// Its session's client speaks the handshake revisions, and so does the server if it can.
    private(set) var opening = Back.Opening.probe
    var hasEnded = false
    var idleBurn = IdleBurn()
    /// When somebody last asked it something, or was last answered: its idleness begins then.
    var lastUse = NIODeadline.now()
    let born = NIODeadline.now()
    var served = false
    /// The first lines that were no messages, for diagnosis.
    var keptNoise: [String] = []
    var onEraKnown: ((Era) -> Void)?
    var onEraLost: (() -> Void)?
    var onEnded: ((Child) -> Void)?
    /// Somebody waits for it no longer.
    var onCallEnded: (() -> Void)?
    /// Its process is gone, and nobody waits for another one.
    var onAsleep: (() -> Void)?

    init(key: SessionKey, era: Era?, environment: Environment) {
        self.key = key
        self.environment = environment
        self.era = era
        var limits = ChildStateMachine.Limits()
        limits.start = environment.limits.start
        limits.rung = environment.limits.rung
        machine = ChildStateMachine(limits: limits)
        back = Self.newBack(era, opening, environment.limits)
    }

    /// - Parameter era: what another process has shown. A legacy one spares the next one the probe. A modern one is probed all the same,
    ///   since that is how it is spoken to: an answer of another kind is a legacy server's, and only an admin's word stands against it.
    static func newBack(_ era: Era?, _ opening: Back.Opening, _ limits: BridgeLimits) -> Back {
        Back(
            era: era == .legacy ? .legacy : limits.era, opening: era == nil ? opening : .probe,
            handshakeSeconds: max(1, Int(limits.start.nanoseconds / 1_000_000_000)),
            inputSeconds: Int(limits.input.nanoseconds / 1_000_000_000), canAsk: limits.sharing != .shared,
            isOneSessions: limits.sharing == .session)
    }

    /// Nobody waits for it, and it waits for nobody's answer.
    var isIdle: Bool { calls.values.allSatisfy(\.isListen) && waiting.isEmpty && identityWaiters.isEmpty && back.suspendedCount == 0 }
    var isDraining: Bool { draining }
    /// No process, and nobody waits for one.
    var isAsleep: Bool { machine.stage == .idle && isIdle }
    /// Its process has answered a handshake.
    var isReady: Bool { machine.stage == .ready }
    /// Answered a handshake, and has not died since without answering anything.
    var isProven: Bool { identity != nil && machine.failures == 0 && !hasEnded }

    /// Gives a child that has served no session yet to one. What it was asked before is not the session's: neither its loss, nor what
    /// the asker declared.
    func adopt(_ key: SessionKey) {
        self.key = key
        served = false
        untoldRestart = false
        declared = nil
    }

    /// Nothing has been said to its process: opens with the handshake, whatever another one answered to a probe.
    func openWithHandshake(isKnownModern: Bool) {
        opening = .handshake(isKnownModern: isKnownModern)
        era = nil
        back = Self.newBack(nil, opening, environment.limits)
        if let declared { back.declare(declared) }
    }

    /// The handshake came first, and was not in vain so far.
    var isOpenedByHandshake: Bool { if case .handshake = opening { era != .modern } else { false } }

    /// The handshake came first, and its process speaks the other era.
    var refusedHandshake: Bool { if case .handshake = opening { era == .modern } else { false } }

    /// Whether a client that declares this gets what it declared: the process to come is told what the first client said.
    func serves(_ capabilities: ByteBuffer?) -> Bool {
        guard !back.isOpened, let declared, era != .modern, environment.limits.sharing != .shared else { return back.serves(capabilities) }
        return declared == capabilities || Back.covers(declared, capabilities)
    }

    /// Starts a process for whoever comes next, and says nothing to it.
    func prepare() { perform(machine.prepare()) }

    static let noRoom = "the server's sessions are all busy"

    /// It has ended, and nothing is left of its processes.
    var isGone: Bool { hasEnded && cleanups == 0 && process == nil }

    /// The session would miss what its process knows.
    var hasState: Bool { served || untoldRestart || calls.values.contains { !$0.isListen } }

    /// May not start a process before `release`, and ends when nobody waits for that any longer.
    func hold() { isHeld = true }

    func release() {
        isHeld = false
        heldTimer?.cancel()
        heldTimer = nil
        if !isIdle { wake() }
    }

    /// Somebody waits: gets the process going, as soon as it may run.
    func wake() {
        // Those that have come wait for the next process.
        if isRenewing, machine.stage == .ready { return }
        if followTimer != nil, !machine.isStopping { return }
        guard isHeld, !machine.isStopping else { return perform(machine.requestArrived(now: .now())) }
        guard heldTimer == nil else { return }
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        heldTimer = environment.loop.scheduleTask(in: environment.limits.room) {
            bound.value.heldTimer = nil
            bound.value.failWaiting(Undelivered(.notDelivered, Self.noRoom))
        }
    }

    // MARK: Calls

    /// Whether it is one of its own calls that this request comes back for.
    func awaits(_ request: MCPRequest) -> Bool { !hasEnded && (kept.has(request) || back.awaits(request)) }

    func call(_ request: MCPRequest, deadline: NIODeadline?, sink: any MCPSink, onDelivery: (() -> Void)? = nil) -> any MCPCall {
        nextCall += 1
        lastUse = .now()
        let call = ChildCall(id: CallID(nextCall), request: request, child: self, sink: sink, limits: environment.limits)
        // Subscriptions without a process count where one more comes: nothing else bounds them.
        let inFlight = calls.count + waiting.count + (call.isListen ? parked.count : 0)
        guard inFlight < environment.limits.callsPerChild else {
            call.finish(.failed(Undelivered(.notDelivered, "too many calls in flight to this server")))
            return call
        }
        if let outcome = kept.answer(to: request) {
            call.finish(outcome)
            return call
        }
        if machine.isStopping, back.awaits(request) {
            call.finish(.failed(Self.overWhileAsked))
            return call
        }
        call.onDelivery = onDelivery
        if let deadline {
            call.deadline = deadline
            watch(deadline)
        }
        if request.isOwn {
            // No process is started for it, and none hears of a wait: what it would wait for ended with the last one.
            if back.isReady, !request.isWait || back.suspendedCount > 0 { deliver(call) } else { call.finish(.failed(Self.overWhileAsked)) }
            return call
        }
        declare(request.envelope.clientCapabilities.map(request.slice))
        if isRenewing, passesRenewal(request) {
            deliver(call)
        } else {
            waiting.append(call)
            wake()
        }
        hurryReaders()
        return call
    }

    /// What is left to say of a call whose server is gone.
    static let overWhileAsked = Undelivered(.outcomeUnknown, "the call ended at its server while the client was asked")

    /// Starts a process unless there is one, and tells what it said in the handshake.
    func withIdentity(declaring capabilities: ByteBuffer? = nil, _ completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) {
        declare(capabilities)
        if let identity, machine.stage == .ready { return completion(.success(identity)) }
        identityWaiters.append(completion)
        wake()
    }

    private func declare(_ capabilities: ByteBuffer?) {
        guard declared == nil, let capabilities else { return }
        declared = ByteBuffer(bytes: capabilities.readableBytesView)
        back.declare(capabilities)
    }

    /// What a server refused in its handshake may be one caller's fault: its next process is told what the next caller declares.
    func forgetDeclaration() {
        guard identity == nil, machine.failures > 0, declared != nil else { return }
        declared = nil
        back = Self.newBack(era, opening, environment.limits)
        for call in waiting { declare(call.request.envelope.clientCapabilities.map(call.request.slice)) }
    }

    func cancel(_ call: ChildCall) { abandon(call, reason: "cancelled") }

    func abandon(_ call: ChildCall, reason: String) {
        if let index = waiting.firstIndex(where: { $0 === call }) {
            waiting.remove(at: index)
            call.finish(.failed(Undelivered(.notDelivered, reason)))
        } else if let index = parked.firstIndex(where: { $0 === call }) {
            parked.remove(at: index)
            call.finish(.failed(Undelivered(.outcomeUnknown, reason)))
        } else if calls[call.id] != nil {
            let actions = back.cancel(call.id)
            finish(call.id, .failed(Undelivered(call.mayHaveRun ? .outcomeUnknown : .notDelivered, reason)))
            perform(actions)
        }
        stopIfDrained()
    }

    /// - Parameter reader: a call that has just read, of which more may wait than should.
    func callDrained(_ reader: ChildCall? = nil) {
        guard readingPaused else { return }
        if let reader, reader.isBehind, calls[reader.id] === reader { pauseReading(for: reader) }
        guard !calls.values.contains(where: { $0.unreadTimer != nil }),
            calls.values.reduce(0, { $0 + $1.waitingBytes }) * 2 < environment.limits.queuedOutputBytes
        else { return }
        process?.setReading(true)
    }

    func finish(_ id: CallID, _ outcome: MCPOutcome) {
        guard let call = calls.removeValue(forKey: id) else { return }
        if !call.isListen { lastUse = .now() }
        call.finish(outcome)
        // What waited in it waits no more.
        callDrained()
        stopIfDrained()
    }

    private func deliver(_ call: ChildCall) {
        calls[call.id] = call
        perform(back.send(call.request, call: call.id), writing: call)
    }

    func flush() {
        // It came up as what it no longer is.
        if isRenewing { return renewIfQuiet() }
        let ready = parked + waiting
        waiting = []
        parked = []
        for call in ready { deliver(call) }
        if let identity, !identityWaiters.isEmpty {
            tellIdentity(.success(identity))
            stopIfDrained()
        }
    }

    func tellIdentity(_ result: Result<ServerIdentity, Undelivered>) {
        let waiters = identityWaiters
        identityWaiters = []
        for waiter in waiters { waiter(result) }
    }

    // MARK: Ending

    /// Ends the child for good; calls in flight get as long as the ladder takes.
    func stop(_ reason: String, completion: @escaping () -> Void = {}) {
        if isGone { return completion() }
        stopped.append(completion)
        perform(machine.stop(reason))
    }

    /// Takes no new call, and ends the child when those in flight are done.
    ///
    /// - Parameter isBounded: whether they are ended too when they take too long.
    func drain(_ reason: String, isBounded: Bool = true, completion: @escaping () -> Void = {}) {
        if isGone { return completion() }
        stopped.append(completion)
        guard !draining else { return }
        draining = true
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        if isBounded {
            drainTimer = environment.loop.scheduleTask(in: environment.limits.drain) { bound.value.perform(bound.value.machine.stop(reason)) }
        }
        stopIfDrained()
    }

    func stopIfDrained() {
        if draining, isIdle { perform(machine.stop("the session is draining")) }
        // Its place in the queue is another's.
        if isHeld, isIdle, !draining { perform(machine.stop("nobody waits")) }
        renewIfQuiet()
        onCallEnded?()
    }

    func ended() {
        guard !hasEnded else { return }
        hasEnded = true
        heldTimer?.cancel()
        followTimer?.cancel()
        followTimer = nil
        // It would keep what has ended.
        drainTimer?.cancel()
        drainTimer = nil
        endDeadlines()
        forgetAnswers()
        endRenewal()
        let subscriptions = parked
        parked = []
        for call in subscriptions { call.finish(.failed(Undelivered(.outcomeUnknown, "the server's session is over"))) }
        tellStopped()
    }

    func tellStopped() {
        // A process that has just died is still to be cleaned up after.
        guard isGone else { return }
        onEnded?(self)
        onEnded = nil
        let waiters = stopped
        stopped = []
        for waiter in waiters { waiter() }
    }

    func report(now: NIODeadline) -> ChildReport {
        ChildReport(
            session: key.id, pid: process?.pid, state: machine.isCrashed ? "crashed" : "\(machine.stage)", era: era?.rawValue, version: back.version,
            callsInFlight: calls.count + waiting.count, starts: starts,
            idleSeconds: (now - lastUse).nanoseconds / 1_000_000_000, noiseLines: noise, noise: keptNoise,
            stderrBytes: process?.errors.bytes ?? 0)
    }
}
