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
    }

    private(set) var key: SessionKey
    let environment: Environment
    private var machine: ChildStateMachine
    private var back: Back
    private var process: ChildProcess?
    private var plan: SpawnPlan?
    /// Which start the events belong to.
    private var starts = 0
    private var calls: [CallID: ChildCall] = [:]
    private var waiting: [ChildCall] = []
    private var nextCall = 0
    private var timer: Scheduled<Void>?
    private var backTimers: [BackTimer: Scheduled<Void>] = [:]
    private var backSawEnd = false
    private var eraRestart = false
    /// A process that had served this session is gone, and no answer has told so yet.
    private var untoldRestart = false
    private var readingPaused = false
    private var cleanups = 0
    private var stopped: [() -> Void] = []
    private var draining = false
    private var identityWaiters: [(Result<ServerIdentity, Undelivered>) -> Void] = []
    private var noise = 0
    private(set) var identity: ServerIdentity?
    private(set) var era: Era?
    private(set) var hasEnded = false
    private(set) var lastRequest = NIODeadline.now()
    let born = NIODeadline.now()
    private var served = false
    /// The first lines that were no messages, for diagnosis.
    private(set) var keptNoise: [String] = []
    var onEraKnown: ((Era) -> Void)?
    var onEnded: ((Child) -> Void)?

    init(key: SessionKey, era: Era?, environment: Environment) {
        self.key = key
        self.environment = environment
        self.era = era
        var limits = ChildStateMachine.Limits()
        limits.start = environment.limits.start
        limits.rung = environment.limits.rung
        machine = ChildStateMachine(limits: limits)
        back = Back(era: Self.choice(era, environment.limits.era))
    }

    private static func choice(_ known: Era?, _ configured: Back.EraChoice) -> Back.EraChoice {
        switch known {
        case .legacy: .legacy
        case .modern: .modern
        case nil: configured
        }
    }

    var isIdle: Bool { calls.isEmpty && waiting.isEmpty && identityWaiters.isEmpty }
    var isDraining: Bool { draining }

    /// Gives a child that has served nobody yet to a session.
    func adopt(_ key: SessionKey) { self.key = key }

    // MARK: Calls

    func call(_ request: MCPRequest, deadline: NIODeadline?, sink: any MCPSink) -> any MCPCall {
        nextCall += 1
        lastRequest = .now()
        let call = ChildCall(id: CallID(nextCall), request: request, child: self, sink: sink, limits: environment.limits)
        guard calls.count + waiting.count < environment.limits.callsPerChild else {
            call.finish(.failed(Undelivered(.notDelivered, "too many calls in flight to this server")))
            return call
        }
        if let deadline {
            let bound = NIOLoopBound((self, call), eventLoop: environment.loop)
            call.deadline = environment.loop.scheduleTask(deadline: deadline) {
                let (child, call) = bound.value
                child.abandon(call, reason: "the server did not answer in time")
            }
        }
        waiting.append(call)
        perform(machine.requestArrived(now: .now()))
        return call
    }

    /// Starts a process unless there is one, and tells what it said in the handshake.
    func withIdentity(_ completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) {
        if let identity, machine.stage == .ready { return completion(.success(identity)) }
        identityWaiters.append(completion)
        perform(machine.requestArrived(now: .now()))
    }

    func cancel(_ call: ChildCall) { abandon(call, reason: "cancelled") }

    private func abandon(_ call: ChildCall, reason: String) {
        if let index = waiting.firstIndex(where: { $0 === call }) {
            waiting.remove(at: index)
            call.finish(.failed(Undelivered(.notDelivered, reason)))
        } else if calls[call.id] != nil {
            let actions = back.cancel(call.id)
            finish(call.id, .failed(Undelivered(call.written ? .outcomeUnknown : .notDelivered, reason)))
            perform(actions)
        }
        stopIfDrained()
    }

    func callDrained() {
        guard readingPaused, calls.values.reduce(0, { $0 + $1.waitingBytes }) * 2 < environment.limits.queuedOutputBytes else { return }
        readingPaused = false
        process?.setReading(true)
    }

    private func finish(_ id: CallID, _ outcome: MCPOutcome) {
        guard let call = calls.removeValue(forKey: id) else { return }
        call.finish(outcome)
        stopIfDrained()
    }

    private func flush() {
        let ready = waiting
        waiting = []
        for call in ready {
            calls[call.id] = call
            perform(back.send(call.request, call: call.id), writing: call)
        }
        if let identity { tellIdentity(.success(identity)) }
    }

    private func tellIdentity(_ result: Result<ServerIdentity, Undelivered>) {
        let waiters = identityWaiters
        identityWaiters = []
        for waiter in waiters { waiter(result) }
    }

    // MARK: Ending

    /// Ends the child for good; calls in flight get as long as the ladder takes.
    func stop(_ reason: String, completion: @escaping () -> Void = {}) {
        if hasEnded && cleanups == 0 { return completion() }
        stopped.append(completion)
        perform(machine.stop(reason))
    }

    /// Takes no new call, and ends the child when those in flight are done.
    func drain(_ reason: String, completion: @escaping () -> Void = {}) {
        if hasEnded && cleanups == 0 { return completion() }
        stopped.append(completion)
        guard !draining else { return }
        draining = true
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        environment.loop.scheduleTask(in: environment.limits.drain) { bound.value.perform(bound.value.machine.stop(reason)) }
        stopIfDrained()
    }

    private func stopIfDrained() {
        if draining, isIdle { perform(machine.stop("the session is draining")) }
    }

    private func ended() {
        guard !hasEnded else { return }
        hasEnded = true
        tellStopped()
    }

    private func tellStopped() {
        guard hasEnded, cleanups == 0 else { return }
        onEnded?(self)
        onEnded = nil
        let waiters = stopped
        stopped = []
        for waiter in waiters { waiter() }
    }

    // MARK: The machine's actions

    private func perform(_ actions: [ChildStateMachine.Action]) {
        for action in actions {
            switch action {
            case .spawn: spawn()
            case .startHandshake: perform(back.start())
            case .flush: flush()
            case .closeInput: process?.closeInput()
            case .signal(let number): process?.signal(number)
            case .arm(let delay): arm(delay)
            case .disarm: timer?.cancel()
            case .failRunning(let reason): failRunning(reason)
            case .failWaiting(let reason): failWaiting(Undelivered(.notDelivered, reason))
            case .discardProcess: discardProcess()
            case .ended: ended()
            }
        }
    }

    private func arm(_ delay: TimeAmount) {
        timer?.cancel()
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        timer = environment.loop.scheduleTask(in: delay) {
            let child = bound.value
            if child.machine.stage == .closing { child.backEnded() }
            child.perform(child.machine.timerFired(now: .now()))
        }
    }

    private func failRunning(_ reason: String) {
        let lost = calls.values.sorted { $0.id.rawValue < $1.id.rawValue }
        calls = [:]
        for call in lost { call.finish(.failed(Undelivered(call.written ? .outcomeUnknown : .notDelivered, reason))) }
        stopIfDrained()
    }

    private func failWaiting(_ why: Undelivered) {
        let lost = waiting
        waiting = []
        for call in lost { call.finish(.failed(why)) }
        tellIdentity(.failure(why))
        stopIfDrained()
    }

    private func spawn() {
        starts += 1
        backSawEnd = false
        readingPaused = false
        switch environment.plan(key) {
        case .failure(let why):
            perform(machine.startFailed(why.reason, now: .now()))
        case .success(let plan):
            self.plan = plan
            let start = starts
            let bound = NIOLoopBound(self, eventLoop: environment.loop)
            let loop = environment.loop
            environment.reaper.spawn(plan) { result in
                loop.execute { bound.value.spawned(result, plan: plan, start: start) }
            } exited: { status in
                loop.execute { bound.value.exited(status, start: start) }
            }
        }
    }

    private func spawned(_ result: Result<SpawnedProcess, SpawnFailure>, plan: SpawnPlan, start: Int) {
        switch result {
        case .failure(let failure):
            environment.log("server not started: \(failure)")
            perform(machine.startFailed(failure.description, now: .now()))
        case .success(let spawned):
            let process = ChildProcess(
                spawned, plan: plan, loop: environment.loop, reaper: environment.reaper, limits: environment.limits, owner: self)
            self.process = process
            process.open(spawned) { [weak self] in
                guard let self, self.starts == start else { return }
                perform(machine.started())
            } failed: { error in
                process.signal(9)
                process.discard()
            }
        }
    }

    private func exited(_ status: ExitStatus, start: Int) {
        guard start == starts else { return }
        perform(machine.exited(status, now: .now()))
    }

    private func discardProcess() {
        for timer in backTimers.values { timer.cancel() }
        backTimers = [:]
        // Only the back itself knows that the next process is not to be probed.
        if !eraRestart { back = Back(era: Self.choice(era, environment.limits.era)) }
        eraRestart = false
        guard let process else { return }
        self.process = nil
        if served { untoldRestart = true }
        served = false
        report(process)
        process.discard()
        if let plan, let afterwards = plan.afterwards { cleanUp(afterwards) }
        plan = nil
    }

    private func report(_ process: ChildProcess) {
        guard machine.failures > 0, machine.stage != .ended, let exit = machine.lastExit else { return }
        environment.log("server process \(process.pid) \(exit)")
        var failure = ChildFailure(exit: nil, signal: nil, stderr: process.errors.lastLines, reason: "the server \(exit)")
        switch exit {
        case .code(let code): failure.exit = code
        case .signal(let number): failure.signal = number
        }
        environment.failed(failure)
    }

    private func cleanUp(_ afterwards: SpawnPlan.Afterwards, attempt: Int = 1) {
        cleanups += 1
        let loop = environment.loop
        let bound = NIOLoopBound(self, eventLoop: loop)
        let plan = SpawnPlan(path: afterwards.path, arguments: afterwards.arguments, streams: .output(2))
        environment.reaper.spawn(plan) { result in
            guard case .failure(let failure) = result else { return }
            loop.execute { bound.value.cleanUpFailed(afterwards, attempt: attempt, failure.description) }
        } exited: { status in
            loop.execute {
                if status == .code(0) { bound.value.cleanedUp() } else { bound.value.cleanUpFailed(afterwards, attempt: attempt, "\(status)") }
            }
        }
    }

    private func cleanUpFailed(_ afterwards: SpawnPlan.Afterwards, attempt: Int, _ reason: String) {
        cleanups -= 1
        environment.log("clean-up after a server failed: \(reason)")
        guard attempt < 5 else { return tellStopped() }
        cleanUp(afterwards, attempt: attempt + 1)
    }

    private func cleanedUp() {
        cleanups -= 1
        tellStopped()
    }

    // MARK: The back's actions

    private func perform(_ actions: [BackAction], writing call: ChildCall? = nil) {
        for action in actions {
            switch action {
            case .write(let line): write(line, call: call)
            case .notify(let id, let message): notify(id, message)
            case .finish(let id, let outcome):
                machine.answered()
                finish(id, told(outcome))
            case .ready(let identity, let era):
                self.identity = identity
                self.era = era
                onEraKnown?(era)
                perform(machine.handshaken())
            case .restartLegacy: restartForEra()
            case .handshakeFailed(let reason): perform(machine.handshakeFailed(reason))
            case .noise(let line): keep(noise: line)
            case .armTimer(let timer, let seconds): arm(timer, seconds)
            case .disarmTimer(let timer): backTimers.removeValue(forKey: timer)?.cancel()
            case .broadcast: break
            }
        }
    }

    /// The first answer of a new process tells that the server's state was lost.
    private func told(_ outcome: MCPOutcome) -> MCPOutcome {
        guard case .result(let result) = outcome else { return outcome }
        served = true
        guard untoldRestart else { return outcome }
        untoldRestart = false
        return .result(RestartMark.added(to: result))
    }

    private func write(_ line: ByteBuffer, call: ChildCall?) {
        let id = call?.id
        let taken = process?.write(line) { [weak call, weak self] whole in
            if whole {
                call?.written = true
            } else if let id {
                self?.finish(id, .failed(Undelivered(.notDelivered, "the server closed its input")))
            }
        }
        if taken != true, let id {
            _ = back.cancel(id)
            finish(id, .failed(Undelivered(.notDelivered, "the server does not read its input")))
        }
    }

    private func notify(_ id: CallID, _ message: ByteBuffer) {
        guard let call = calls[id] else { return }
        if !call.notify(message) {
            let actions = back.cancel(id)
            finish(id, .failed(Undelivered(.outcomeUnknown, "the caller did not read what the server sent")))
            perform(actions)
        } else if call.waitingBytes > 0, !readingPaused,
            calls.values.reduce(0, { $0 + $1.waitingBytes }) > environment.limits.queuedOutputBytes
        {
            readingPaused = true
            process?.setReading(false)
        }
    }

    private func keep(noise line: ByteBuffer) {
        noise += 1
        guard keptNoise.count < 20 else { return }
        let head = Array(line.readableBytesView.prefix(200))
        let text = String(decoding: plan?.mask.masked(head) ?? head, as: UTF8.self)
        keptNoise.append(text)
        environment.log("not a message on the server's stdout: \(text)")
    }

    private func arm(_ timer: BackTimer, _ seconds: Int) {
        backTimers[timer]?.cancel()
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        backTimers[timer] = environment.loop.scheduleTask(in: .seconds(Int64(seconds))) {
            bound.value.perform(bound.value.back.timerFired(timer))
        }
    }

    private func backEnded() {
        guard !backSawEnd else { return }
        backSawEnd = true
        // Its calls are finished by the machine, which knows the exit status; what matters here is the era.
        if machine.stage != .ready, back.closed(reason: "").contains(where: \.isRestart) { restartForEra() }
    }

    private func restartForEra() {
        eraRestart = true
        machine.restartForEra()
    }

    func report(now: NIODeadline) -> ChildReport {
        ChildReport(
            session: key.id, pid: process?.pid, state: "\(machine.stage)", era: era?.rawValue, callsInFlight: calls.count + waiting.count,
            starts: starts, idleSeconds: (now - lastRequest).nanoseconds / 1_000_000_000, noiseLines: noise,
            stderrBytes: process?.errors.bytes ?? 0)
    }
}

extension Child: ChildProcess.Owner {
    func process(_ process: ChildProcess, wrote frame: LineFramer.Frame) {
        guard process === self.process else { return }
        switch frame {
        case .line(let line): perform(back.received(line: line))
        case .oversized(let prefix, let bytes):
            environment.log("a line of \(bytes) bytes on the server's stdout exceeds the limit")
            perform(back.receivedOversized(prefix: prefix))
        }
    }

    func processOutputEnded(_ process: ChildProcess) {
        guard process === self.process else { return }
        backEnded()
        perform(machine.outputClosed(now: .now()))
    }

    func processInputBroke(_ process: ChildProcess) {
        guard process === self.process else { return }
        perform(machine.inputBroken())
    }

    func process(_ process: ChildProcess, logged lines: [String]) {
        for line in lines { environment.log("[\(process.pid)] \(line)") }
    }
}

extension BackAction {
    fileprivate var isRestart: Bool {
        if case .restartLegacy = self { true } else { false }
    }
}
