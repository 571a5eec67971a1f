import MachineAPI

/// What is wanted of a machine; durable.
enum DesiredState: String, Sendable {
    case running, suspended, stopped, destroyed
}

/// The life of one machine as a value: what happened goes in, what is to be done comes out. It does no I/O and reads no
/// clock; its owner writes `state`, `desired`, `attempts`, `wasReady` and `reason` to the row before it acts.
struct MachineStateMachine: Sendable, Equatable {
    /// How much of the present boot exists on the host.
    enum Life: Sendable, Equatable {
        /// Nothing.
        case none
        /// Nothing; another boot follows when the timer rings.
        case waiting
        /// Nothing; it is made when its turn comes.
        case queued
        /// Being made.
        case booting
        /// Runs, and is asked whether it is ready.
        case probing
        case up
        /// Nobody has called for long: its agent is asked to take no call any more, and says whether one has come.
        case closing
        /// Its door is being closed and it is being frozen.
        case freezing
        /// Stands still, and keeps its memory.
        case frozen
        /// Is being waked.
        case thawing
        /// Told to end.
        case ending
        /// What is left of it is being removed.
        case removing
        /// Could not be removed; tried again when the timer rings.
        case stuck
    }

    /// Why the present boot ends.
    enum Cause: Sendable, Equatable {
        /// Somebody asked.
        case request
        /// By itself. `isClean`: exit code 0.
        case failure(isClean: Bool)
    }

    struct Policy: Sendable, Equatable {
        var restart: MachineConfig.Restart.Policy = .onFailure
        var maxRetries = 10
        var stopSeconds: Int64 = 5
        var startSeconds: Int64 = 60
        /// It goes for good when it has come to its end.
        var destroysItself = false
        /// What becomes of it when nobody calls.
        var idle: MachineConfig.Idle?
    }

    var state: MachineState
    var desired: DesiredState
    /// Failed boots in a row.
    var attempts = 0
    /// Was ready at least once.
    var wasReady = false
    var reason: String?
    var policy: Policy

    /// A configuration that has not been ready yet, in the place of one that may have been: when it fails, that one comes back.
    var isOnTrial = false
    /// What is being waked served before, so that its server need not be asked again.
    var servedBefore = false
    /// A restart was asked for while it was being frozen.
    var restartsAfterFreeze = false
    /// Somebody waits for the start that comes or is under way.
    var isAwaited = false

    // Written by the machine's own parts alone.
    var life = Life.none
    private(set) var isHeld = false
    var cause = Cause.request
    var earlyEnd: MachineEnd?

    /// - Parameter isHeld: stopped, whatever the row wants, as after ``Input/hold``.
    init(
        state: MachineState, desired: DesiredState, attempts: Int = 0, wasReady: Bool = false, reason: String? = nil, policy: Policy = Policy(),
        isHeld: Bool = false, isOnTrial: Bool = false
    ) {
        self.state = state
        self.desired = desired
        self.attempts = attempts
        self.wasReady = wasReady
        self.reason = reason
        self.policy = policy
        self.isHeld = isHeld
        self.isOnTrial = isOnTrial
    }

    var target: DesiredState { isHeld && desired != .destroyed ? .stopped : desired }

    mutating func handle(_ input: Input) -> [Effect] {
        switch input {
        case .start(let source): start(source)
        case .stop(let source, let seconds): stop(source, seconds)
        case .restart(let source, let seconds): restart(source, seconds)
        case .destroy(let source): destroy(source)
        case .suspend(let source): suspend(source)
        case .idle(let seconds): idle(seconds)
        case .closed: closed()
        case .closeFailed(let why): closeFailed(why)
        case .update(let source, let launches): update(source, launches)
        case .note(let type, let source, let why): [.record(type: type, status: state.rawValue, source: source, reason: why)]
        case .hold: hold()
        case .awaited: awaited()
        case .turn: turn()
        case .booted: booted()
        case .bootFailed(let why): life == .booting ? fail(why, type: "start") : []
        case .noRoom(let why): noRoom(why)
        case .ready: ready()
        case .notReady(let why): life == .probing ? fail(why, type: "start") : []
        case .exited(let end, let seconds): exited(end, seconds)
        case .removed: removed()
        case .removeFailed(let why): removeFailed(why)
        case .frozen(let told): frozen(told)
        case .freezeFailed(let why): freezeFailed(why)
        case .thawed: thawed()
        case .thawFailed(let why): life == .thawing ? fail(why, type: "start") : []
        case .timer: timer()
        case .adopted(let isStarted): adopted(isStarted)
        case .lost: lost()
        case .found: found()
        }
    }

    // MARK: Requests

    private mutating func start(_ source: String) -> [Effect] {
        guard desired != .destroyed, !isHeld else { return [] }
        let wasWanted = desired == .running
        desired = .running
        let isNews = noteWaiter(source)
        switch life {
        case .none, .waiting:
            attempts = 0
            return boot("start", source: source)
        case .queued:
            return isNews ? [.queue(isAwaited: true)] : []
        case .booting, .probing, .up, .thawing:
            return []
        case .frozen:
            return wake(source)
        case .closing:
            // `closed` or `closeFailed` find out whether it can serve on.
            guard state != .starting else { return [] }
            state = .starting
            return [.record(type: "start", status: "starting", source: source, reason: "queued")]
        case .freezing:
            // It serves on, or is waked as soon as it stands still.
            return wasWanted ? [] : [.record(type: "start", status: state.rawValue, source: source, reason: "queued"), .cancelFreeze]
        case .ending, .removing, .stuck:
            // A new boot follows the removal of the old one.
            guard !wasWanted else { return [] }
            attempts = 0
            cause = .request
            return [.record(type: "start", status: state.rawValue, source: source, reason: "queued")]
        }
    }

    private mutating func stop(_ source: String, _ seconds: Int64?) -> [Effect] {
        guard desired != .destroyed else { return [] }
        desired = .stopped
        return wind(source, reason: nil, seconds: seconds)
    }

    private mutating func hold() -> [Effect] {
        guard !isHeld else { return [] }
        isHeld = true
        // What does not run anyway keeps its state, and why it has it.
        if life == .none, state == .failed || state == .created { return [] }
        return desired == .destroyed ? [] : wind("berth", reason: "berth goes down")
    }

    /// Towards `stopped`, from wherever it is.
    private mutating func wind(_ source: String, reason why: String?, seconds: Int64? = nil) -> [Effect] {
        switch life {
        case .none, .waiting, .queued:
            life = .none
            isAwaited = false
            guard state != .stopped else { return [] }
            state = .stopped
            reason = why
            return [.disarm, .record(type: "stop", status: "stopped", source: source, reason: why)]
        case .booting:
            // Its making cannot be interrupted; `booted` finds out.
            return stopping(source, why)
        case .freezing:
            // `frozen` or `freezeFailed` find out.
            return stopping(source, why) + [.cancelFreeze]
        case .probing, .up, .closing, .frozen, .thawing:
            life = .ending
            cause = .request
            return stopping(source, why) + [.terminate, .arm(seconds: seconds ?? policy.stopSeconds)]
        case .ending, .removing, .stuck:
            return stopping(source, why)
        }
    }

    mutating func stopping(_ source: String, _ why: String?) -> [Effect] {
        guard state != .stopping else { return [] }
        state = .stopping
        reason = why
        return [.record(type: "stop", status: "stopping", source: source, reason: why)]
    }

    private mutating func restart(_ source: String, _ seconds: Int64?) -> [Effect] {
        guard desired != .destroyed, !isHeld else { return [] }
        noteWaiter(source)
        if life == .freezing {
            // `frozen` or `freezeFailed` find out.
            restartsAfterFreeze = true
            desired = .running
            return [.record(type: "restart", status: state.rawValue, source: source, reason: "queued"), .cancelFreeze]
        }
        guard [.probing, .up, .closing, .frozen, .thawing].contains(life) else { return start(source) }
        desired = .running
        attempts = 0
        life = .ending
        cause = .request
        state = .stopping
        reason = nil
        return [
            .record(type: "restart", status: "stopping", source: source, reason: nil), .terminate, .arm(seconds: seconds ?? policy.stopSeconds),
        ]
    }

    private mutating func destroy(_ source: String) -> [Effect] {
        guard desired != .destroyed else { return [] }
        desired = .destroyed
        state = .destroying
        reason = nil
        let record = Effect.record(type: "destroy", status: "destroying", source: source, reason: nil)
        switch life {
        case .none, .waiting, .queued:
            life = .none
            return [record, .disarm] + erase()
        case .probing, .up, .closing, .ending, .frozen, .thawing:
            return [record] + remove(.request)
        case .freezing:
            return [record, .cancelFreeze]
        case .booting, .removing, .stuck:
            return [record]
        }
    }

    // MARK: What happens

    private mutating func booted() -> [Effect] {
        guard life == .booting else { return [] }
        guard target == .running else { return remove(.request) }
        life = .probing
        if let end = earlyEnd { return exited(end, 0) }
        // Counted from here: neither waiting for its turn nor making it eats the time in which the server may start.
        return [.probe(isDeep: true), .arm(seconds: policy.startSeconds)]
    }

    private mutating func ready() -> [Effect] {
        guard life == .probing else { return [] }
        life = .up
        state = .started
        wasReady = true
        isOnTrial = false
        isAwaited = false
        reason = nil
        return [.record(type: "start", status: "started", source: "berth", reason: nil), .disarm]
    }

    private mutating func exited(_ end: MachineEnd, _ seconds: Int64) -> [Effect] {
        switch life {
        case .probing, .up, .closing, .freezing, .frozen, .thawing:
            // A machine that ran well for a while has its tries back.
            if life == .up && seconds >= 300 { attempts = 0 }
            reason = end.description
            if state != .starting { state = .stopping }
            return [.record(type: end.isOutOfMemory ? "oom" : "exit", status: "stopped", source: "berth", reason: reason)]
                + remove(.failure(isClean: end.code == 0))
        case .ending:
            return [.record(type: "exit", status: "stopped", source: "berth", reason: end.description)] + remove(cause)
        case .booting:
            // The news of its end may overtake the news of its start.
            earlyEnd = end
            return []
        case .none, .waiting, .queued, .removing, .stuck:
            return []
        }
    }

    mutating func fail(_ why: String, type: String) -> [Effect] {
        reason = why
        return [.record(type: type, status: "failed", source: "berth", reason: why)] + remove(.failure(isClean: false))
    }

    mutating func remove(_ cause: Cause) -> [Effect] {
        life = .removing
        self.cause = cause
        return [.disarm, .remove]
    }

    private mutating func removed() -> [Effect] {
        guard life == .removing else { return [] }
        life = .none
        switch target {
        case .destroyed:
            return erase()
        case .stopped, .suspended:
            // What stood still is lost with its memory; it begins anew when somebody needs it.
            if !isHeld { desired = .stopped }
            isAwaited = false
            if policy.destroysItself, !isHeld { return destroyItself() }
            state = .stopped
            return [.record(type: "stop", status: "stopped", source: "berth", reason: reason)]
        case .running:
            switch cause {
            case .request: return boot("start", source: "berth")
            case .failure(let isClean):
                // What fails does not go before the others again.
                isAwaited = false
                return again(isClean: isClean)
            }
        }
    }

    /// A boot ended by itself: the restart policy decides.
    private mutating func again(isClean: Bool) -> [Effect] {
        if isOnTrial { return fallBack() }
        let restarts: Bool
        switch policy.restart {
        case .no: restarts = false
        case .onFailure: restarts = !isClean
        case .always: restarts = true
        }
        guard restarts else {
            if policy.destroysItself { return destroyItself() }
            desired = .stopped
            state = isClean ? .stopped : .failed
            return [.record(type: "exit", status: state.rawValue, source: "berth", reason: reason)]
        }
        // What never worked will hardly begin to: say so soon.
        let limit = wasReady ? policy.maxRetries : min(policy.maxRetries, 1)
        guard attempts < limit else {
            desired = .stopped
            state = .failed
            if attempts > 0 { reason = "gave up after \(attempts + 1) tries: \(reason ?? "no reason known")" }
            return [.record(type: "start", status: "failed", source: "berth", reason: reason)]
        }
        attempts += 1
        life = .waiting
        state = .starting
        return [
            .record(type: "restart", status: "starting", source: "berth", reason: reason), .arm(seconds: Self.backOff(attempts)),
        ]
    }

    private mutating func destroyItself() -> [Effect] {
        desired = .destroyed
        state = .destroying
        return [.record(type: "destroy", status: "destroying", source: "berth", reason: reason ?? "its configuration says auto_destroy")] + erase()
    }

    /// 1, 2, 4 … 60 seconds.
    static func backOff(_ attempt: Int) -> Int64 { attempt > 6 ? 60 : min(60, 1 << Int64(max(attempt, 1) - 1)) }

    private mutating func removeFailed(_ why: String) -> [Effect] {
        guard life == .removing else { return [] }
        life = .stuck
        reason = why
        return [.record(type: "exit", status: state.rawValue, source: "berth", reason: why), .arm(seconds: 5)]
    }

    private mutating func timer() -> [Effect] {
        switch life {
        case .waiting: return boot("start", source: "berth", reason: "try \(attempts + 1)")
        case .probing, .thawing: return fail("not ready within \(policy.startSeconds) s" + (reason.map { ": \($0)" } ?? ""), type: "start")
        case .ending:
            return [.record(type: "stop", status: state.rawValue, source: "berth", reason: "did not end in time, killed")]
                + remove(cause)
        case .stuck: return remove(cause)
        case .none, .queued, .booting, .up, .closing, .freezing, .frozen, .removing: return []
        }
    }

    mutating func erase() -> [Effect] {
        state = .destroyed
        return [.record(type: "destroy", status: "destroyed", source: "berth", reason: nil), .erase]
    }
}
