import Glibc
import NIOCore

/// The life of one child over its processes, as a pure value: events in, actions out. It knows no descriptor and no request.
struct ChildStateMachine {
    enum Action: Equatable {
        case spawn
        case startHandshake
        /// Deliver what waited.
        case flush
        case closeInput
        /// To the process group.
        case signal(Int32)
        /// One timer, replaced by the next `arm`.
        case arm(TimeAmount)
        case disarm
        /// Requests that were written, or are being written, end without an answer.
        case failRunning(String)
        /// Requests that waited for the child end, never delivered.
        case failWaiting(String)
        /// The process is gone: close what is left of it and clean up after it.
        case discardProcess
        /// The last action of all.
        case ended
    }

    struct Limits: Equatable, Sendable {
        /// From spawn to the handshake's end.
        var start: TimeAmount = .seconds(60)
        /// One rung of the ladder: stdin closed, TERM, KILL.
        var rung: TimeAmount = .seconds(2)
        /// How long an exit waits for the rest of the output, and the end of output for an exit.
        var settle: TimeAmount = .milliseconds(800)
        /// A request waits this long for a back-off to pass; beyond it fails at once.
        var patience: TimeAmount = .seconds(2)
        var longestBackOff: TimeAmount = .seconds(30)
    }

    enum Stage: Equatable {
        case idle
        case backingOff
        case starting
        /// A spare: its process runs, and nobody has spoken to it.
        case parked
        case probing
        case ready
        /// Exit or end of output was seen, the other not yet.
        case closing
        case inputClosed
        case terminated
        case killed
        case ended
    }

    /// Its last process ended, or did not start, without being asked to, and the next one has not been started yet.
    var isCrashed: Bool { failures > 0 && (stage == .idle || stage == .backingOff) }
    /// Its output has ended and its exit has not been told.
    var awaitsExit: Bool { stage == .closing && exit == nil }
    private(set) var stage = Stage.idle
    private(set) var failures = 0
    private(set) var lastExit: ExitStatus?
    /// What died last was a spare, which says nothing of any session.
    private(set) var lostSpare = false
    /// What died last had been asked to end.
    private(set) var diedStopping = false
    private let limits: Limits
    /// Somebody waits for the child.
    private var wanted = false
    private var finalReason: String?
    private var startAgainAtOnce = false
    /// It is being ended so that another one takes its place.
    private(set) var isRenewing = false
    /// From `prepare` until its process has answered somebody: its death then is nobody's.
    private var isSpare = false
    private var failedToStart = false
    /// Why the last process's handshake failed: that it exited afterwards explains nothing.
    private var refusal: String?
    private var outputEnded = false
    private var errorsEnded = false
    private var exit: ExitStatus?
    private var notBefore = NIODeadline.uptimeNanoseconds(0)

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Whether it was asked to end.
    var isStopping: Bool { finalReason != nil }

    /// Starts a process that nobody waits for yet, and says nothing to it: the handshake is the first request's.
    mutating func prepare() -> [Action] {
        guard stage == .idle, finalReason == nil else { return [] }
        let actions = start()
        wanted = false
        isSpare = true
        return actions
    }

    /// A request came in and waits.
    mutating func requestArrived(now: NIODeadline) -> [Action] {
        if let finalReason { return [.failWaiting(finalReason)] }
        switch stage {
        case .idle:
            let delay = notBefore - now
            if delay <= .zero { return start() }
            if delay > limits.patience {
                let seconds = (delay.nanoseconds + 999_999_999) / 1_000_000_000
                let why = refusal ?? "the server \(lastExit?.description ?? "could not be started")"
                return [.failWaiting("\(why); next start in \(seconds) s")]
            }
            stage = .backingOff
            wanted = true
            return [.arm(delay)]
        case .ready:
            return [.flush]
        case .parked:
            wanted = true
            return handshake()
        case .backingOff, .starting, .probing, .closing, .inputClosed, .terminated, .killed:
            wanted = true
            return []
        case .ended:
            return [.failWaiting("the session has ended")]
        }
    }

    /// The process runs.
    mutating func started() -> [Action] {
        guard stage == .starting else { return [] }
        if finalReason != nil { return climb() }
        if wanted { return handshake() }
        stage = .parked
        return []
    }

    /// The process could not be made.
    mutating func startFailed(_ reason: String, now: NIODeadline) -> [Action] {
        guard stage == .starting else { return [] }
        failedToStart = true
        // Whoever took a spare that could not be made is told so, like everybody whose server does not start.
        if wanted { isSpare = false }
        return die(reason: "the server could not be started: \(reason)", now: now)
    }

    /// The child answered the handshake.
    mutating func handshaken() -> [Action] {
        guard stage == .probing else { return [] }
        stage = .ready
        wanted = false
        isSpare = false
        return [.disarm, .flush]
    }

    /// The child answered the handshake with an error.
    mutating func handshakeFailed(_ reason: String) -> [Action] {
        guard stage == .probing else {
            // Its end was told before its last words were read.
            if stage == .closing, failedToStart { refusal = reason }
            return []
        }
        failedToStart = true
        wanted = false
        isSpare = false
        refusal = reason
        return [.failWaiting(reason)] + climb()
    }

    /// The child does not live through an era probe: the next process is not probed, and is started without delay.
    mutating func restartForEra() { startAgainAtOnce = true }

    /// A call came back: the server works.
    mutating func answered() { failures = 0 }

    /// Whether `renew` would do something, now or as soon as it has come up.
    var isRenewable: Bool { stage != .starting && stage != .probing }

    /// The program has changed: this process ends, and the next one is started without delay for whoever wants it.
    mutating func renew(isWanted: Bool, now: NIODeadline) -> [Action] {
        guard finalReason == nil else { return [] }
        switch stage {
        case .idle, .backingOff:
            // What made it fail may be mended.
            failures = 0
            notBefore = now
            return isWanted ? [.disarm] + start() : []
        case .parked, .ready:
            isRenewing = true
            wanted = isWanted
            return climb()
        case .starting, .probing, .closing, .inputClosed, .terminated, .killed, .ended:
            return []
        }
    }

    /// The child no longer reads: it is of no use.
    mutating func inputBroken() -> [Action] {
        guard stage == .ready || stage == .parked else { return [] }
        return climb()
    }

    /// The end of the child's output.
    mutating func outputClosed(now: NIODeadline) -> [Action] {
        outputEnded = true
        if exit != nil { return errorsEnded ? die(now: now) : [] }
        guard stage == .probing || stage == .ready || stage == .parked else { return [] }
        failedToStart = stage == .probing
        stage = .closing
        return [.arm(limits.settle)]
    }

    /// The end of the child's stderr: only of interest because a death is told with its last words.
    mutating func errorsClosed(now: NIODeadline) -> [Action] {
        errorsEnded = true
        return exit != nil && outputEnded ? die(now: now) : []
    }

    mutating func exited(_ status: ExitStatus, now: NIODeadline) -> [Action] {
        guard exit == nil, stage != .idle, stage != .backingOff, stage != .ended else { return [] }
        exit = status
        lastExit = status
        if outputEnded && errorsEnded || stage == .starting { return die(now: now) }
        if stage == .probing { failedToStart = true }
        // What it wrote before it died may still lie in the pipe.
        stage = .closing
        return [.arm(limits.settle)]
    }

    mutating func timerFired(now: NIODeadline) -> [Action] {
        switch stage {
        case .backingOff:
            return start()
        case .probing:
            let seconds = limits.start.nanoseconds / 1_000_000_000
            return handshakeFailed("the server did not answer the handshake within \(seconds) s")
        case .closing:
            if exit != nil { return die(now: now) }
            // Alive, but mute: no answer can come any more.
            return [.failRunning("the server closed its output")] + terminate()
        case .inputClosed:
            return terminate()
        case .terminated, .killed:
            stage = .killed
            return [.signal(SIGKILL), .arm(limits.rung)]
        case .idle, .starting, .parked, .ready, .ended:
            return []
        }
    }

    /// Ends the child for good.
    mutating func stop(_ reason: String) -> [Action] {
        guard finalReason == nil, stage != .ended else { return [] }
        finalReason = reason
        let waiting = Action.failWaiting(reason)
        switch stage {
        case .idle, .backingOff:
            stage = .ended
            return [.disarm, waiting, .ended]
        case .parked, .probing, .ready:
            wanted = false
            return [waiting] + climb()
        case .starting, .closing, .inputClosed, .terminated, .killed, .ended:
            return [waiting]
        }
    }

    // MARK: Steps

    private mutating func start() -> [Action] {
        stage = .starting
        wanted = true
        startAgainAtOnce = false
        isSpare = false
        failedToStart = false
        refusal = nil
        outputEnded = false
        errorsEnded = false
        exit = nil
        return [.spawn]
    }

    private mutating func handshake() -> [Action] {
        stage = .probing
        return [.arm(limits.start), .startHandshake]
    }

    private mutating func climb() -> [Action] {
        stage = .inputClosed
        return [.closeInput, .arm(limits.rung)]
    }

    private mutating func terminate() -> [Action] {
        stage = .terminated
        return [.closeInput, .signal(SIGTERM), .arm(limits.rung)]
    }

    private mutating func die(reason: String? = nil, now: NIODeadline) -> [Action] {
        let reason = reason ?? "the server \(exit?.description ?? "closed its output")"
        var actions: [Action] = [.disarm, .failRunning(reason), .discardProcess]
        lostSpare = isSpare && finalReason == nil && !isRenewing
        diedStopping = finalReason != nil || isRenewing
        if let finalReason {
            stage = .ended
            return actions + [.failWaiting(finalReason), .ended]
        }
        if isSpare && !wanted {
            stage = .ended
            return actions + [.ended]
        }
        if isRenewing {
            isRenewing = false
            failures = 0
            notBefore = now
            stage = .idle
            return actions + (wanted ? start() : [])
        }
        // A session that took a spare which was dying has lost nothing: it gets a process of its own.
        if startAgainAtOnce || isSpare { return actions + start() }
        failures += 1
        notBefore = now + backOff()
        stage = .idle
        if failedToStart {
            wanted = false
            actions.append(.failWaiting(refusal ?? reason))
        }
        if wanted { actions += requestArrived(now: now) }
        return actions
    }

    /// None after the first death, then 0.2 s doubled up to the limit.
    private func backOff() -> TimeAmount {
        if failures <= 1 { return .zero }
        let nanoseconds = Int64(200_000_000) << min(20, Int64(failures - 2))
        return .nanoseconds(min(nanoseconds, limits.longestBackOff.nanoseconds))
    }
}
