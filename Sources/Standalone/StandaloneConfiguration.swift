import MCP
public import NIOCore
import StdioBridge

/// Settings of `berth bridge`.
public struct StandaloneConfiguration: Sendable {
    /// A numeric address.
    public var host: String
    /// 0 for any free port.
    public var port: Int
    /// At least one; only one may be without a name, and it is alone then.
    public var servers: [StandaloneServer]
    /// Names under which the bridge is reached beside loopback.
    public var allowedHosts: [String]
    /// Web origins that may call it beside loopback.
    public var allowedOrigins: [String]
    /// Who may call; nil: everybody who reaches it.
    public var tokens: BearerTokens?
    public var limits: BridgeLimits
    /// Legacy sessions kept at once.
    public var sessions: Int
    /// A legacy session that nobody has used for so long is forgotten: its client opens another.
    public var sessionIdle = TimeAmount.hours(24)
    /// How old a legacy session may become.
    public var sessionAge = TimeAmount.hours(7 * 24)
    /// How long a call may take.
    public var callLimit = TimeAmount.hours(1)
    /// Whether children are replaced when a file below their directory changes.
    public var watches: Bool
    /// Whether a server that does not start, or crashes, ends the bridge.
    public var exitsOnCrash: Bool
    public var trace: StandaloneTrace

    public init(
        servers: [StandaloneServer], host: String = "127.0.0.1", port: Int = 0, allowedHosts: [String] = [], allowedOrigins: [String] = [],
        tokens: BearerTokens? = nil, limits: BridgeLimits = BridgeLimits(), sessions: Int = 1000, watches: Bool = false,
        exitsOnCrash: Bool = false, trace: StandaloneTrace = .off
    ) {
        self.servers = servers
        self.host = host
        self.port = port
        self.allowedHosts = allowedHosts
        self.allowedOrigins = allowedOrigins
        self.tokens = tokens
        self.limits = limits
        self.sessions = sessions
        self.watches = watches
        self.exitsOnCrash = exitsOnCrash
        self.trace = trace
    }
}

/// What is shown of the messages between bridge and servers.
public enum StandaloneTrace: Sendable {
    case off
    /// A line for each: direction, method, id, time, size.
    case messages
    /// And what they say.
    case bodies
}

/// One server of a bridge.
public struct StandaloneServer: Sendable {
    /// Where it is served: `/NAME/mcp`; nil: `/mcp`.
    public var name: String?
    /// The server's argv; a name is searched along `PATH` of `environment`.
    public var command: [String]
    /// `NAME=value`: all that the server gets.
    public var environment: [String]
    public var directory: String?
    /// Values that are kept out of what is printed.
    public var secrets: [String]

    public init(name: String? = nil, command: [String], environment: [String], directory: String? = nil, secrets: [String] = []) {
        self.name = name
        self.command = command
        self.environment = environment
        self.directory = directory
        self.secrets = secrets
    }

    /// What its paths begin with.
    var prefix: String { name.map { "/" + $0 } ?? "" }

    /// Asked anew for every start: a program may come, or move.
    func plan(_ mask: SecretMask) -> Result<SpawnPlan, Undelivered> {
        let path = environment.last { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? ""
        guard let program = command.first.flatMap({ ExecutablePath.find($0, path: String(path)) }) else {
            return .failure(Undelivered(.notDelivered, "no program \(command.first ?? "") in \(path)"))
        }
        return .success(SpawnPlan(path: program, arguments: command, environment: environment, directory: directory, mask: mask))
    }
}
