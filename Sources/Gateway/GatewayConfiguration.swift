public import Logging
public import Wire

/// What `berth gateway` is started with: paths and addresses, no secret.
public struct GatewayConfiguration: Sendable {
    /// The gateway's own part of the state, as this process sees it.
    public var state: String
    public var listenHost: String
    public var listenPort: Int
    /// Without a trailing slash.
    public var publicURL: String
    /// Host names allowed beside the loopback's.
    public var allowedHosts: [String]
    /// Networks whose `X-Forwarded-For` counts, and that alone may connect beside this host.
    public var trustedProxies: [AddressBlock]
    /// A listening unix socket that only root can connect to; owned from here.
    public var controlSocket: Int32
    /// The orchestrator's socket.
    public var machinesSocket: String
    public var logger: Logger

    public init(
        state: String, listenHost: String, listenPort: Int, publicURL: String, allowedHosts: [String], trustedProxies: [AddressBlock],
        controlSocket: Int32, machinesSocket: String, logger: Logger
    ) {
        self.state = state
        self.listenHost = listenHost
        self.listenPort = listenPort
        self.publicURL = publicURL
        self.allowedHosts = allowedHosts
        self.trustedProxies = trustedProxies
        self.controlSocket = controlSocket
        self.machinesSocket = machinesSocket
        self.logger = logger
    }
}
