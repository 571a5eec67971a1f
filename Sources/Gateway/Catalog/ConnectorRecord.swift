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
    /// Until when open sessions may stay on machines of an older generation that an update replaced, in milliseconds since 1970; one that is
    /// not named keeps none.
    public var drains: [Int: Int64] = [:]
}

extension ConnectorRecord {
    /// Older generations whose sessions stay, at most.
    static let mostDrains = 64

    /// Sessions stay where they are: those of the version that is about to be replaced, from then on for so long, and those of the ones before
    /// for the rest of their own time.
    ///
    /// - Parameters:
    ///   - seconds: nil or 0 for none.
    ///   - isReplaced: another version comes, ``generation`` being its number; else only the time is another one.
    mutating func drainSessions(for seconds: Int?, now: Int64, isReplaced: Bool) {
        guard let seconds, seconds > 0 else {
            (drains, floor) = ([:], generation)
            return
        }
        let end = now + Int64(seconds) * 1_000
        drains = drains.filter { $0.value > now && $0.key < generation }.mapValues { min($0, end) }
        if isReplaced { drains[generation - 1] = end }
        while drains.count > Self.mostDrains, let oldest = drains.keys.min() { drains[oldest] = nil }
        floor = drains.keys.min() ?? generation
    }
}
