import NIOCore

/// What a server takes from its clients, and how long it waits for them.
public struct ServerLimits: Sendable {
    /// A request body, unless the delegate's admission says otherwise.
    public var bodyBytes = 4 << 20
    /// From the connection to the end of the first head.
    public var headTimeout = TimeAmount.seconds(10)
    /// From the end of a head to the end of the body.
    public var bodyTimeout = TimeAmount.seconds(60)
    /// From an answer to the end of the next head.
    public var idleTimeout = TimeAmount.seconds(75)
    /// How long a client may read nothing of what waits for it.
    public var stallTimeout = TimeAmount.seconds(60)
    /// Silence after which an event stream gets a comment.
    public var keepAliveInterval = TimeAmount.seconds(15)
    /// Connections at a time, over all loops.
    public var connections = 10_000
    /// Connections from one address (of IPv6, one /64) at a time; not of the host itself and of `sharedAddresses`.
    public var connectionsPerAddress: Int?
    /// Proxies, behind which anybody may be.
    public var sharedAddresses: [AddressBlock] = []
    /// What `idleTimeout` is for a client that the delegate has not come to trust.
    public var strangerIdleTimeout: TimeAmount?
    /// Bodies of requests under way, for each that the delegate names as their payer.
    public var bodyBytesPerPayer = Int.max
    public var bodyBytesInAll = Int.max
    /// Answers that wait for their clients to read.
    public var unreadBytesPerPayer = Int.max
    public var unreadBytesInAll = Int.max
    public var http = HTTPLimits()

    public init() {}
}

/// Who is at the other end of a connection.
public struct ServerPeer: Sendable {
    public var address: SocketAddress?
    /// The user of the process that connected to a unix socket, told by the kernel.
    public var uid: UInt32?

    public init(address: SocketAddress? = nil, uid: UInt32? = nil) {
        self.address = address
        self.uid = uid
    }
}
