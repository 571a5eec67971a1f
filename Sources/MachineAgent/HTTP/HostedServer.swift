import CLinux
import Glibc
import MCP
import NIOCore
import StdioBridge

/// The one process of a machine whose server speaks HTTP: started for the first who wants it, and again when it died. Confined to its
/// loop.
final class HostedServer {
    /// What it does of others' for those that it serves. Called on the loop.
    protocol Owner: AnyObject {
        /// Asks the server what it is, in MCP.
        func server(_ server: HostedServer, handshakeAt url: String, _ completion: @escaping (HandshakeOutcome) -> Void)
        func serverIsReady(_ server: HostedServer)
        func serverIsLost(_ server: HostedServer, _ reason: String)
        func server(_ server: HostedServer, failedWaiting why: Undelivered)
        /// What it left is removed, to success or as often as it is tried.
        func server(_ server: HostedServer, cleanedUp: SpawnPlan.Afterwards, completely: Bool)
    }

    enum HandshakeOutcome {
        case ready
        /// - Parameter mayPass: a server that is not ready yet, and not one that speaks something else.
        case failed(String, mayPass: Bool)
    }

    let loop: any EventLoop
    let place: ServerPlace
    private let reaper: Reaper
    private let plan: (SessionKey) -> Result<SpawnPlan, Undelivered>
    let log: (String) -> Void
    weak var owner: (any Owner)?
    private(set) var machine: ServerStateMachine
    /// Whose credentials it has: of the session that it was started for.
    private(set) var key: SessionKey?
    private(set) var starts = 0
    private(set) var process: ServerProcess?
    /// Where it answers, while it is up.
    private(set) var url: String?
    private(set) var lastFailure: ChildFailure?
    /// Why the process is gone that served last, and under which name the log has it.
    private(set) var loss: (reason: String, incident: String)?
    private var afterwards: SpawnPlan.Afterwards?
    /// A server's own words may hold what it was started with.
    private var mask = SecretMask()
    private var watch: PortWatch?
    private var timer: Scheduled<Void>?
    private var handshakeTimer: Scheduled<Void>?
    private var doubts: [(String?) -> Void] = []
    private var stopped: [() -> Void] = []
    private var startedAt = NIODeadline.now()

    init(
        place: ServerPlace, limits: ServerStateMachine.Limits, loop: any EventLoop, reaper: Reaper,
        plan: @escaping (SessionKey) -> Result<SpawnPlan, Undelivered>, log: @escaping (String) -> Void
    ) {
        self.place = place
        self.loop = loop
        self.reaper = reaper
        self.plan = plan
        self.log = log
        machine = ServerStateMachine(place: place, limits: limits)
    }

    var isReady: Bool { machine.isReady }
    var state: String { machine.isCrashed ? "crashed" : machine.stage.rawValue }

    /// Somebody waits for it, whose credentials the next process is given: an earlier session's may be gone with that.
    func want(_ key: SessionKey) {
        if !machine.isUpOrComing { self.key = key }
        perform(machine.requestArrived(now: .now()))
    }

    /// Ends a process that nobody but a probe has used, for one with other credentials.
    func replace(for key: SessionKey) {
        perform(machine.replace())
        self.key = key
    }

    func answered() { machine.answered() }

    func stop(_ reason: String, completion: @escaping () -> Void) {
        if machine.stage == .ended { return completion() }
        stopped.append(completion)
        perform(machine.stop(reason))
    }

    /// An exchange with it broke off: whether because the process died is known in a moment, and told with the exit status.
    func explain(_ decide: @escaping (String?) -> Void) {
        guard let process, machine.isReady else { return decide(loss?.reason) }
        doubts.append(decide)
        if doubts.count == 1 { look(for: process, times: 25) }
    }

    /// Until the reaper's news comes. A server that lives closes connections too.
    private func look(for process: ServerProcess, times: Int) {
        guard self.process === process, machine.isReady, !doubts.isEmpty else { return }
        var (code, signal): (Int32, Int32) = (0, 0)
        guard times > 0 || clinux_peek_exit(process.pid, &code, &signal) != 0 else { return settleDoubts(nil) }
        let this = NIOLoopBound((self, process), eventLoop: loop)
        loop.scheduleTask(in: .milliseconds(10)) { this.value.0.look(for: this.value.1, times: times - 1) }
    }

    private func settleDoubts(_ reason: String?) {
        let waiting = doubts
        doubts = []
        for decide in waiting { decide(reason) }
    }

    // MARK: What the state machine asks for

    private func perform(_ actions: [ServerStateMachine.Action]) {
        for action in actions {
            switch action {
            case .spawn: spawn()
            case .watchPort: watchPort()
            case .handshake(let delay): handshake(after: delay)
            case .stopTrying: stopTrying()
            case .signal(let number): if let process { reaper.signal(process.pid, number) }
            case .arm(let delay): arm(delay)
            case .disarm: timer?.cancel()
            case .serve: owner?.serverIsReady(self)
            case .lose(let reason): lose(reason)
            case .failWaiting(let reason): owner?.server(self, failedWaiting: Undelivered(.notDelivered, reason))
            case .tell(let reason): tell(reason)
            case .cleanUp: cleanUp()
            case .ended: ended()
            }
        }
    }

    private func spawn() {
        starts += 1
        startedAt = .now()
        loss = nil
        let start = starts
        switch plan(key ?? SessionKey(id: "")) {
        case .failure(let why): perform(machine.startFailed(why.reason, now: .now()))
        case .success(let plan):
            afterwards = plan.afterwards
            mask = plan.mask
            let (this, loop) = (NIOLoopBound(self, eventLoop: loop), loop)
            reaper.spawn(plan) { result in
                loop.execute { this.value.spawned(result, plan) }
            } exited: { status in
                loop.execute { if this.value.starts == start { this.value.exited(status) } }
            }
        }
    }

    private func spawned(_ result: Result<SpawnedProcess, SpawnFailure>, _ plan: SpawnPlan) {
        switch result {
        case .failure(let failure):
            log("server not started: \(failure)")
            perform(machine.startFailed(failure.description, now: .now()))
        case .success(let spawned):
            process = ServerProcess(spawned, mask: plan.mask, loop: loop, log: log) { [weak self] in
                guard let self else { return }
                perform(machine.outputEnded(now: .now()))
            }
            perform(machine.started())
        }
    }

    private func exited(_ status: ExitStatus) {
        let isExpected = machine.stage == .terminated || machine.stage == .killed
        if !isExpected, let process { log("server process \(process.pid) \(status)") }
        perform(machine.exited(status))
        if process?.hasEnded == true { perform(machine.outputEnded(now: .now())) }
    }

    private func watchPort() {
        watch = PortWatch(port: place.port, loop: loop) { [weak self] host in
            guard let self else { return }
            url = place.url(host: host)
            let isOthers = afterwards.map { ListeningSockets().isOthers(self.place.port, than: $0.id) } ?? false
            perform(machine.listens(isOwn: !isOthers))
        }
        watch?.start()
    }

    private func handshake(after delay: TimeAmount) {
        guard delay > .zero else { return shakeHands() }
        let this = NIOLoopBound(self, eventLoop: loop)
        handshakeTimer = loop.scheduleTask(in: delay) { this.value.shakeHands() }
    }

    private func shakeHands() {
        guard let url, let owner else { return }
        let start = starts
        owner.server(self, handshakeAt: url) { [weak self] outcome in
            guard let self, starts == start else { return }
            switch outcome {
            case .ready:
                if machine.stage == .probing {
                    let taken = (NIODeadline.now() - startedAt).nanoseconds / 1_000_000
                    log("the server answers at \(url), \(taken) ms after its start")
                }
                perform(machine.handshaken())
            case .failed(let reason, let mayPass): perform(machine.handshakeFailed(mask.masked(reason), mayPass: mayPass))
            }
        }
    }

    private func stopTrying() {
        watch?.cancel()
        watch = nil
        handshakeTimer?.cancel()
    }

    private func arm(_ delay: TimeAmount) {
        timer?.cancel()
        let this = NIOLoopBound(self, eventLoop: loop)
        timer = loop.scheduleTask(in: delay) { this.value.timerFired() }
    }

    private func timerFired() {
        let ports = machine.stage == .listening ? afterwards.map { ListeningSockets().ports(of: $0.id) } ?? [] : []
        perform(machine.timerFired(listening: ports, now: .now()))
    }

    private func lose(_ reason: String) {
        // What we end ourselves is no incident.
        if machine.stage == .closing {
            let incident = String(RandomID.hex128().prefix(8))
            loss = (reason, incident)
            log("incident \(incident): \(reason)")
        }
        settleDoubts(reason)
        owner?.serverIsLost(self, reason)
    }

    private func tell(_ reason: String) {
        log(reason)
        var failure = ChildFailure(exit: nil, signal: nil, stderr: process?.lastWords ?? "", reason: reason)
        // Of one that is being ended for this reason, how it ended says nothing.
        if machine.stage == .cleaning || machine.stage == .closing {
            switch machine.lastExit {
            case .code(let code)?: failure.exit = code
            case .signal(let number)?: failure.signal = number
            case .outOfMemory?: failure.signal = SIGKILL
            case nil: break
            }
        }
        lastFailure = failure
    }

    private func ended() {
        timer?.cancel()
        let waiters = stopped
        stopped = []
        for waiter in waiters { waiter() }
    }

    // MARK: Cleaning up

    private static let cleanUpPatience = TimeAmount.seconds(10)
    private static let cleanUpAttempts = 5

    /// Before another process is started, which would find the port taken by what this one left.
    private func cleanUp() {
        process?.discard()
        process = nil
        url = nil
        guard let afterwards else { return perform(machine.cleanedUp(now: .now())) }
        self.afterwards = nil
        cleanUp(afterwards, attempt: 1)
    }

    private func cleanUp(_ afterwards: SpawnPlan.Afterwards, attempt: Int) {
        let this = NIOLoopBound((self, afterwards), eventLoop: loop)
        let timer = NIOLoopBoundBox<Scheduled<Void>?>(nil, eventLoop: loop)
        let (loop, reaper) = (loop, reaper)
        reaper.spawn(SpawnPlan(path: afterwards.path, arguments: afterwards.arguments, streams: .output(2))) { result in
            loop.execute {
                switch result {
                case .success(let process):
                    timer.value = loop.scheduleTask(in: Self.cleanUpPatience) { reaper.signal(process.pid, SIGKILL) }
                case .failure(let failure):
                    this.value.0.cleanUpFailed(this.value.1, attempt: attempt, failure.description)
                }
            }
        } exited: { status in
            loop.execute {
                timer.value?.cancel()
                switch status {
                case .code(0): this.value.0.cleanedUp(this.value.1, completely: true)
                // Somebody works against it: the next start must not wait for the end of that.
                case .code(SpawnPlan.Afterwards.outOfTime), .signal, .outOfMemory: this.value.0.cleanUpFailed(this.value.1, attempt: .max, "\(status)")
                case .code: this.value.0.cleanUpFailed(this.value.1, attempt: attempt, "\(status)")
                }
            }
        }
    }

    private func cleanUpFailed(_ afterwards: SpawnPlan.Afterwards, attempt: Int, _ reason: String) {
        if attempt < Self.cleanUpAttempts { return cleanUp(afterwards, attempt: attempt + 1) }
        log("clean-up after the server failed: \(reason)")
        cleanedUp(afterwards, completely: false)
    }

    private func cleanedUp(_ afterwards: SpawnPlan.Afterwards, completely: Bool) {
        owner?.server(self, cleanedUp: afterwards, completely: completely)
        perform(machine.cleanedUp(now: .now()))
    }
}
