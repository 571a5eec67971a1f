import Glibc
import NIOCore
import StdioBridge

/// The life of a machine's HTTP server over its processes, as a pure value: events in, actions out. It knows no descriptor and no request.
///
/// ```
/// idle ─wanted─► starting ─► listening ─somebody listens─► probing ─handshake─► ready
///   ▲                │            └──exit, in vain───┬────────┘                  │
///   └── cleaning ◄── closing ◄── terminated/killed ◄─┴──────exit, stop───────────┘
/// ```
struct ServerStateMachine {
    enum Action: Equatable {
        case spawn
        /// Look again and again whether somebody listens on the port.
        case watchPort
        case handshake(after: TimeAmount)
        /// Neither the port nor the handshake matters any more.
        case stopTrying
        /// To the process group.
        case signal(Int32)
        /// One timer, replaced by the next `arm`.
        case arm(TimeAmount)
        case disarm
        /// Its sessions can be served.
        case serve
        /// The process that served is gone, or ends: what was under way ends.
        case lose(String)
        /// Who waits for it hears that nothing was delivered.
        case failWaiting(String)
        /// The process did not do what it was started for.
        case tell(String)
        /// The process is gone: remove what it left.
        case cleanUp
        /// The last action of all.
        case ended
    }

    struct Limits: Equatable, Sendable {
        /// From spawn to the handshake's end.
        var start: TimeAmount = .seconds(30)
        /// SIGTERM, then SIGKILL.
        var rung: TimeAmount = .seconds(2)
        /// How long an exit waits for the rest of the output.
        var settle: TimeAmount = .milliseconds(800)
        /// A request waits this long for a back-off to pass; beyond it fails at once.
        var patience: TimeAmount = .seconds(2)
        var longestBackOff: TimeAmount = .seconds(30)
        /// Until a server that listens and is not ready is asked again.
        var again: TimeAmount = .milliseconds(250)
    }

    enum Stage: String { case idle, backingOff, starting, listening, probing, ready, closing, terminated, killed, cleaning, ended }

    private(set) var stage = Stage.idle
    private(set) var failures = 0
    private(set) var lastExit: ExitStatus?
    private let place: ServerPlace
    private let limits: Limits
    /// Somebody waits for it.
    private var wanted = false
    private var finalReason: String?
    /// It is being ended so that another one takes its place.
    private var isReplaced = false
    /// Its process did not do what it was started for, for this reason.
    private var fault: String?
    /// Why the last one did not, for whoever comes before the next start.
    private var lastFault: String?
    /// Starting it anew at once would take as long, and end the same.
    private var isSettledFault = false
    /// This process came up.
    private var hasServed = false
    /// What it answered last when it was asked for the handshake.
    private var refusal: String?
    private var notBefore = NIODeadline.uptimeNanoseconds(0)

    init(place: ServerPlace, limits: Limits = Limits()) {
        self.place = place
        self.limits = limits
    }

    var isReady: Bool { stage == .ready }
    /// There is a process, or one is being made.
    var isRunning: Bool { ![.idle, .backingOff, .ended].contains(stage) }
    /// A process serves, or is on its way to.
    var isUpOrComing: Bool { [.starting, .listening, .probing, .ready].contains(stage) }
    /// Its last process ended, or did not come up, without being asked to, and the next one has not been started yet.
    var isCrashed: Bool { failures > 0 && [.idle, .backingOff, .cleaning, .closing].contains(stage) }

    /// Why it does not come up, as long as it would not be tried anew for whoever asks.
    func settledFault(now: NIODeadline) -> String? { stage == .idle && isSettledFault && notBefore - now > limits.patience ? lastFault : nil }

    // MARK: Coming up

    /// A request came in and waits.
    mutating func requestArrived(now: NIODeadline) -> [Action] {
        if let finalReason { return [.failWaiting(finalReason)] }
        switch stage {
        case .idle:
            let delay = notBefore - now
            if delay <= .zero { return start() }
            if delay > limits.patience {
                let seconds = (delay.nanoseconds + 999_999_999) / 1_000_000_000
                return [.failWaiting("\(lastFault ?? "the server could not be started"); next start in \(seconds) s")]
            }
            stage = .backingOff
            wanted = true
            return [.arm(delay)]
        case .ready: return [.serve]
        case .backingOff, .starting, .listening, .probing, .closing, .terminated, .killed, .cleaning:
            wanted = true
            return []
        case .ended: return [.failWaiting("the machine is ending")]
        }
    }

    mutating func started() -> [Action] {
        guard stage == .starting else { return [] }
        if finalReason != nil || isReplaced { return terminate() }
        stage = .listening
        return [.arm(limits.start), .watchPort]
    }

    /// The process could not be made; there is nothing of it.
    mutating func startFailed(_ reason: String, now: NIODeadline) -> [Action] {
        guard stage == .starting else { return [] }
        fault = "the server could not be started: \(reason)"
        return die(hasProcess: false, now: now)
    }

    /// Somebody listens on the port.
    ///
    /// - Parameter isOwn: false where it is another process of the machine.
    mutating func listens(isOwn: Bool = true) -> [Action] {
        guard stage == .listening else { return [] }
        guard isOwn else { return fail("another process of the machine listens on port \(place.port)") }
        stage = .probing
        return [.handshake(after: .zero)]
    }

    mutating func handshaken() -> [Action] {
        guard stage == .probing else { return [] }
        stage = .ready
        wanted = false
        hasServed = true
        return [.disarm, .stopTrying, .serve]
    }

    /// It listens and was asked for the handshake in vain.
    ///
    /// - Parameter mayPass: a server that is not ready yet, and not one that speaks something else.
    mutating func handshakeFailed(_ reason: String, mayPass: Bool) -> [Action] {
        guard stage == .probing else { return [] }
        refusal = "the server listens on port \(place.port), but does not speak MCP at \(place.path): \(reason)"
        return mayPass ? [.handshake(after: limits.again)] : fail(refusal ?? reason)
    }

    /// A call came back: the server works.
    mutating func answered() { failures = 0 }

    // MARK: Going down

    /// - Parameter listening: where its processes listen.
    mutating func timerFired(listening: [Int] = [], now: NIODeadline) -> [Action] {
        let seconds = limits.start.nanoseconds / 1_000_000_000
        switch stage {
        case .backingOff: return start()
        case .listening: return fail("the server did not listen on port \(place.port) within \(seconds) s" + Self.elsewhere(listening))
        case .probing:
            let silent = "the server listens on port \(place.port), but did not answer MCP's handshake at \(place.path) within \(seconds) s"
            return fail(refusal ?? silent)
        case .closing: return die(now: now)
        case .terminated, .killed:
            stage = .killed
            return [.signal(SIGKILL), .arm(limits.rung)]
        case .idle, .starting, .ready, .cleaning, .ended: return []
        }
    }

    private static func elsewhere(_ ports: [Int]) -> String {
        guard let first = ports.first else { return "" }
        if ports.count == 1 { return ", but listens on port \(first): give --http \(first)" }
        return ", but listens on the ports \(ports.prefix(4).map(String.init).joined(separator: ", ")): give --http one of them"
    }

    mutating func exited(_ status: ExitStatus) -> [Action] {
        lastExit = status
        let reason = "the server \(status)"
        switch stage {
        case .starting, .listening:
            if !isEnding { fault = "\(reason) before it listened on port \(place.port)" }
        case .probing:
            if !isEnding { fault = "\(reason) before it answered MCP's handshake at \(place.path)" }
        case .ready:
            fault = reason
            stage = .closing
            return [.stopTrying, .lose(reason), .arm(limits.settle)]
        case .terminated, .killed: break
        case .idle, .backingOff, .closing, .cleaning, .ended: return []
        }
        stage = .closing
        return [.stopTrying, .arm(limits.settle)]
    }

    /// All that it wrote has been read.
    mutating func outputEnded(now: NIODeadline) -> [Action] { stage == .closing ? die(now: now) : [] }

    /// Nothing is left of the process.
    mutating func cleanedUp(now: NIODeadline) -> [Action] {
        guard stage == .cleaning else { return [] }
        if let finalReason {
            stage = .ended
            return [.failWaiting(finalReason), .ended]
        }
        stage = .idle
        guard wanted else { return [] }
        wanted = false
        return requestArrived(now: now)
    }

    /// This process ends, and the next one is started without delay for whoever waits.
    mutating func replace() -> [Action] {
        switch stage {
        case .listening, .probing, .ready:
            isReplaced = true
            return [.lose("the server is started with other credentials")] + terminate()
        case .starting:
            isReplaced = true
            return []
        case .idle, .backingOff, .closing, .terminated, .killed, .cleaning, .ended: return []
        }
    }

    /// Ends the server for good.
    mutating func stop(_ reason: String) -> [Action] {
        guard finalReason == nil, stage != .ended else { return [] }
        finalReason = reason
        switch stage {
        case .idle, .backingOff:
            stage = .ended
            return [.disarm, .failWaiting(reason), .ended]
        case .listening, .probing: return [.failWaiting(reason)] + terminate()
        case .ready: return [.lose(reason)] + terminate()
        case .starting, .closing, .terminated, .killed, .cleaning, .ended: return [.failWaiting(reason)]
        }
    }

    // MARK: Steps

    private var isEnding: Bool { finalReason != nil || isReplaced }

    private mutating func start() -> [Action] {
        stage = .starting
        wanted = true
        fault = nil
        lastExit = nil
        isSettledFault = false
        hasServed = false
        refusal = nil
        return [.spawn]
    }

    private mutating func fail(_ reason: String) -> [Action] {
        fault = reason
        isSettledFault = true
        wanted = false
        return [.tell(reason), .failWaiting(reason)] + terminate()
    }

    private mutating func terminate() -> [Action] {
        stage = .terminated
        return [.stopTrying, .signal(SIGTERM), .arm(limits.rung)]
    }

    private mutating func die(hasProcess: Bool = true, now: NIODeadline) -> [Action] {
        var actions: [Action] = [.disarm]
        if let fault {
            failures += 1
            notBefore = now + (isSettledFault ? limits.longestBackOff : backOff())
            lastFault = fault
            if !isSettledFault { actions.append(.tell(fault)) }
            // Whoever came after a server that had served was lost is served by the next one.
            if !isSettledFault, !hasServed {
                wanted = false
                actions.append(.failWaiting(fault))
            }
        }
        isReplaced = false
        stage = .cleaning
        return actions + (hasProcess ? [.cleanUp] : cleanedUp(now: now))
    }

    /// None after the first death, then 0.2 s doubled up to the limit.
    private func backOff() -> TimeAmount {
        if failures <= 1 { return .zero }
        let nanoseconds = Int64(200_000_000) << min(20, Int64(failures - 2))
        return .nanoseconds(min(nanoseconds, limits.longestBackOff.nanoseconds))
    }
}
