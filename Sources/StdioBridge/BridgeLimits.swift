public import NIOCore
public import MCP

/// What bounds the bridge: every queue, every wait and the number of processes.
public struct BridgeLimits: Sendable {
    /// Children alive at once, the spare and those that are ending included; beyond it an idle one makes room, whose end the call
    /// waits for. No owner has all of three and more, and each pays for what is more than half of them with its own first.
    public var children = 64
    /// Sessions that wait for a child; no owner has more than half of these places.
    public var waiting = 64
    /// How long a call waits for its session's child to have room: longer than it takes to drain and to end one, and less long
    /// than callers wait for an answer.
    public var room: TimeAmount = .seconds(45)
    /// How long one waits for others' first idle moment; then a busy child of an owner with more children takes no new call.
    public var patience: TimeAmount = .seconds(5)
    /// Keeps one more process started, as far as `children` leaves room, for the next session without credentials: a server
    /// written in Python takes seconds to start. It is spoken to by that session first, and ended when none came for `idle`.
    public var spare = false
    /// How long after a session came the next spare is started: that session's first answer goes first.
    public var spareDelay: TimeAmount = .milliseconds(500)
    /// A child without a request for so long is ended.
    public var idle: TimeAmount = .minutes(15)
    /// How long nobody has used one of four processes that clients of one principal share before it makes room for a fifth that is told of
    /// other capabilities; until then that client is served by one that knows of less.
    public var rest: TimeAmount = .minutes(1)
    /// A child older than this is ended at the first moment without a call.
    public var age: TimeAmount = .hours(24)
    /// A child that keeps this share of a processor busy for so long while nobody waits for it is ended.
    public var burn: TimeAmount = .minutes(5)
    public var burnShare = 0.5
    /// From spawn to the handshake's end.
    public var start: TimeAmount = .seconds(60)
    /// How long each of closing stdin and SIGTERM may take before the next step.
    public var rung: TimeAmount = .seconds(2)
    /// How long the first session's process waits for the end of the one that only a probe has used: a server that takes a lock or a
    /// port would fail beside it.
    public var handOver: TimeAmount = .seconds(1)
    /// How long a draining child may finish its calls.
    public var drain: TimeAmount = .seconds(30)
    /// How long a call waits for its client's answer to a question of its server; whole seconds.
    public var input: TimeAmount = .minutes(5)
    /// One line of a child's output.
    public var lineBytes = 16 << 20
    /// Bytes that wait for a child to read them.
    public var queuedInputBytes = 16 << 20
    /// Calls in flight to one child.
    public var callsPerChild = 1024
    /// Notifications that wait for one slow caller.
    public var queuedNotifications = 256
    public var queuedNotificationBytes = 1 << 20
    /// How long a caller that has half of that waiting holds up its child's output without reading anything: no longer than that of a
    /// connection whose client reads nothing. While another call waits for the same child it is a moment only.
    public var unread = TimeAmount.seconds(30)
    public var unreadShared = TimeAmount.seconds(1)
    /// Notifications that wait for all callers of a child; above it the child's output is not read.
    public var queuedOutputBytes = 16 << 20
    /// Who has a child together. The keys of sessions say it; the limit on questions follows from it.
    public var sharing = Sharing.session
    /// The era to speak with children; `.auto` probes.
    public var era: Back.EraChoice = .auto

    public init() {}
}

/// Who has a child together.
public enum Sharing: String, Sendable, CaseIterable {
    /// Each session has its own.
    case session
    /// All sessions of a principal.
    case principal
    /// Everybody. A legacy server can ask its clients nothing then: its questions do not say whom they are for.
    case shared
}

/// How a child fares, for administrators.
public struct ChildReport: Sendable {
    public var session: String
    public var pid: Int32?
    public var state: String
    public var era: String?
    /// The revision that is spoken with it.
    public var version: String?
    public var callsInFlight: Int
    public var starts: Int
    public var idleSeconds: Int64
    public var noiseLines: Int
    /// The first of them, masked.
    public var noise: [String]
    public var stderrBytes: Int

    public init(
        session: String, pid: Int32?, state: String, era: String?, version: String?, callsInFlight: Int, starts: Int, idleSeconds: Int64,
        noiseLines: Int = 0, noise: [String] = [], stderrBytes: Int = 0
    ) {
        self.session = session
        self.pid = pid
        self.state = state
        self.era = era
        self.version = version
        self.callsInFlight = callsInFlight
        self.starts = starts
        self.idleSeconds = idleSeconds
        self.noiseLines = noiseLines
        self.noise = noise
        self.stderrBytes = stderrBytes
    }
}

/// The last process that ended without being asked to.
public struct ChildFailure: Sendable {
    public var exit: Int32?
    public var signal: Int32?
    /// The last 4 KiB of its stderr, masked.
    public var stderr: String
    public var reason: String

    public init(exit: Int32?, signal: Int32?, stderr: String, reason: String) {
        self.exit = exit
        self.signal = signal
        self.stderr = stderr
        self.reason = reason
    }
}
