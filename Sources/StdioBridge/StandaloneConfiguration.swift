/// Settings of `berth bridge`.
public struct StandaloneConfiguration: Sendable {
    /// A numeric address.
    public var host: String
    /// 0 for any free port.
    public var port: Int
    /// The server's argv; a name is searched along `PATH` of `environment`.
    public var command: [String]
    /// `NAME=value`: all that the server gets.
    public var environment: [String]
    public var directory: String?
    /// Names under which the bridge is reached beside loopback.
    public var allowedHosts: [String]
    /// Web origins that may call it beside loopback.
    public var allowedOrigins: [String]
    public var limits: BridgeLimits
    /// Legacy sessions kept at once.
    public var sessions: Int

    public init(
        command: [String], environment: [String], host: String = "127.0.0.1", port: Int = 0, directory: String? = nil,
        allowedHosts: [String] = [], allowedOrigins: [String] = [], limits: BridgeLimits = BridgeLimits(), sessions: Int = 1000
    ) {
        self.command = command
        self.environment = environment
        self.host = host
        self.port = port
        self.directory = directory
        self.allowedHosts = allowedHosts
        self.allowedOrigins = allowedOrigins
        self.limits = limits
        self.sessions = sessions
    }
}
