public import NIOCore
public import Wire

/// What the data path is started with.
public struct DataPathSettings: Sendable {
    /// The installation's ULID, in every token of the private hop.
    public var org: String
    /// `Host` values taken beside the loopback names.
    public var allowedHosts: [String]
    /// `Origin` values taken beside those of the allowed hosts.
    public var allowedOrigins: [String]
    /// Networks whose `X-Forwarded-For` counts, and that alone may connect beside this host.
    public var trustedProxies: [AddressBlock]
    /// How long a call may take, machine start included.
    public var callTimeout = TimeAmount.seconds(60)
    /// Calls that wait for a machine of one connector at a time; one more is refused.
    public var wakeQueue = 256
    /// How long one waits. Less than ``callTimeout``, so that its caller hears why.
    public var wakeTime = TimeAmount.seconds(55)
    /// A legacy session that was not used for so long ends.
    public var sessionIdle = TimeAmount.hours(24)
    /// The same for the pins of a modern client, which has no session of its own.
    public var modernIdle = TimeAmount.hours(1)
    /// How often the rows of sessions hear that these are used.
    public var sessionMark = TimeAmount.hours(1)
    /// Legacy sessions of one principal; one more ends the longest unused.
    public var sessionsPerPrincipal = 64
    /// Calls of one principal under way at a time.
    public var callsPerPrincipal = 256
    /// Requests of one principal that are being answered at a time, streams among them.
    public var exchangesPerPrincipal = 512
    /// Control requests under way at a time, those that follow a log included.
    public var controlRequests = 256
    /// Bytes of one answer of a machine.
    public var answerBytes = 16 << 20
    /// How often expired tokens and idle sessions are looked for.
    public var sweepInterval = TimeAmount.seconds(1)
    /// What clients may have of the listener, which one process serves for all of them.
    public var server = Self.listener

    public init(org: String, allowedHosts: [String] = [], allowedOrigins: [String] = [], trustedProxies: [AddressBlock] = []) {
        self.org = org
        self.allowedHosts = allowedHosts
        self.allowedOrigins = allowedOrigins
        self.trustedProxies = trustedProxies
    }

    private static var listener: ServerLimits {
        var limits = ServerLimits()
        limits.connectionsPerAddress = limits.connections / 2
        limits.strangerIdleTimeout = .seconds(15)
        limits.bodyBytesPerPayer = 64 << 20
        limits.bodyBytesInAll = 512 << 20
        limits.unreadBytesPerPayer = 128 << 20
        limits.unreadBytesInAll = 512 << 20
        return limits
    }
}
