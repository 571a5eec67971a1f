public import MachineAPI

/// A connector as an admin defined it: what it is built from and started with. Carries no secret, only their names.
public struct ConnectorDefinition: Codable, Sendable, Equatable {
    public var source: ImageSource
    /// Environment of the child; for what is not secret.
    public var environment: [String: String]
    /// Names of the environment variables whose values are sealed in the database.
    public var secrets: [String]
    public var memoryMB: Int
    public var pids: Int
    /// The protocol era that is spoken with the server, where an admin knows better than a probe.
    public var era: String?
    public var hosting: ConnectorHosting?
    /// Where the server listens, if it speaks HTTP.
    public var http: MachineConfig.HTTP?
    /// What the server may reach, and what of it at private addresses; nil for nothing.
    public var egress: [String]?
    public var egressPrivate: [String]?
    /// How many machines it has and for how long; nil for the defaults.
    public var life: ConnectorLife?
    /// Of a trial that tells what was refused.
    public var trace: Bool?

    public init(source: ImageSource, environment: [String: String] = [:], secrets: [String] = [], memoryMB: Int = 256, pids: Int = 64) {
        self.source = source
        self.environment = environment
        self.secrets = secrets
        self.memoryMB = memoryMB
        self.pids = pids
    }
}

/// Where a connector stands.
public enum ConnectorState: String, Codable, Sendable {
    /// An `add` is under way; a gateway that finds one at its start removes it.
    case building
    case ready
    /// A `remove` is under way: no virtual MCP takes it any more; a gateway that finds one at its start finishes it.
    case removing
}

/// A row of `connectors`.
public struct ConnectorRecord: Sendable, Equatable {
    public var name: String
    /// The orchestrator's name for it, unique beyond this installation.
    public var app: String
    public var state: ConnectorState
    public var definition: ConnectorDefinition
    public var build: BuiltImage?
    public var generation: Int
    /// Sessions that were open on machines of this generation, or a later one, may stay there.
    public var floor: Int
    /// The `tools/list` result of the last probe, as the server gave it.
    public var tools: [UInt8]?
    public var createdAt: Int64
    public var updatedAt: Int64
}
