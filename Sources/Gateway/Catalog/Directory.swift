public import MachineAPI
public import MCP
public import NIOCore

/// Everything a call's decision needs, immutable and in memory: rebuilt by the control plane after each change and
/// handed to every loop, so that no call reads a database.
public final class Directory: Sendable {
    /// By ``TokenDigest`` of the bearer token.
    public let grants: [TokenDigest: Grant]
    /// By slug.
    public let virtualMCPs: [String: VirtualMCP]
    /// By name.
    public let connectors: [String: Connector]
    /// Grows with each change.
    public let version: Int

    public init(grants: [TokenDigest: Grant], virtualMCPs: [String: VirtualMCP], connectors: [String: Connector], version: Int) {
        self.grants = grants
        self.virtualMCPs = virtualMCPs
        self.connectors = connectors
        self.version = version
    }

    public static let empty = Directory(grants: [:], virtualMCPs: [:], connectors: [:], version: 0)
}

/// SHA-256 of a bearer token; what the database holds instead of the token.
public struct TokenDigest: Hashable, Sendable {
    public let bytes: [UInt8]
    public init(_ bytes: [UInt8]) { self.bytes = bytes }
}

/// What one bearer token allows.
public struct Grant: Sendable, Equatable {
    /// ULID of the token's row.
    public var tokenID: String
    public var principal: String
    public var scope: Scope
    /// Milliseconds since 1970, nil for none.
    public var expiresAt: Int64?

    public enum Scope: Sendable, Equatable {
        /// One virtual MCP, by slug.
        case virtualMCP(String)
        /// The gateway's `/api`.
        case admin
    }

    public init(tokenID: String, principal: String, scope: Scope, expiresAt: Int64?) {
        self.tokenID = tokenID
        self.principal = principal
        self.scope = scope
        self.expiresAt = expiresAt
    }
}

/// A virtual MCP, ready to answer its lists.
public struct VirtualMCP: Sendable {
    public var slug: String
    public var title: String
    /// In order; names of ``Directory/connectors``.
    public var connectors: [String]
    /// By exposed name.
    public var tools: [String: ExposedTool]
    /// The whole `tools/list` result in the modern dialect, merged once.
    public var toolsListResult: ByteBuffer
    /// Which arguments clients repeat in headers, as ``toolsListResult`` says.
    public let parameterHeaders: [String: ParameterHeaders]
    /// `serverInfo`, `capabilities` (JSON object texts) and instructions for `initialize` and `server/discover`.
    public var serverInfo: ByteBuffer
    public var capabilities: ByteBuffer
    public var instructions: String?

    public init(
        slug: String, title: String, connectors: [String], tools: [String: ExposedTool], toolsListResult: ByteBuffer, serverInfo: ByteBuffer,
        capabilities: ByteBuffer, instructions: String?
    ) {
        self.slug = slug
        self.title = title
        self.connectors = connectors
        self.tools = tools
        self.toolsListResult = toolsListResult
        parameterHeaders = ParameterHeaders.byTool(toolsListResult)
        self.serverInfo = serverInfo
        self.capabilities = capabilities
        self.instructions = instructions
    }
}

/// One tool under the name that clients see.
public struct ExposedTool: Sendable, Equatable {
    public var connector: String
    /// The server's own name for it.
    public var original: String
    public init(connector: String, original: String) {
        self.connector = connector
        self.original = original
    }
}

/// A hosted connector as routing needs it.
public struct Connector: Sendable {
    public var name: String
    /// The orchestrator's app.
    public var app: String
    /// What the machine is made of: image, argv, environment, resources.
    public var machineConfig: MachineTemplate
    /// Names of the secrets a child needs; values are fetched from the credential store.
    public var secretNames: [String]
    /// Grows when the connector or its secrets change: pins of an older generation move.
    public var generation: Int
    /// Pins of this generation, or a later one, stay where they are.
    public var floor: Int
    /// Until when those of an older generation than the connector's do, by that generation, in milliseconds since 1970.
    public var drains: [Int: Int64] = [:]
    /// Images that its next machine may need: that of the version that serves, and of those that it may go back to.
    public var images: [String] = []
    /// Who shares a machine.
    public var isolation = Isolation.app
    /// Machines that are kept started.
    public var minMachines = 0
    /// Machines at most.
    public var maxMachines = 1

    public init(name: String, app: String, machineConfig: MachineTemplate, secretNames: [String], generation: Int) {
        self.name = name
        self.app = app
        self.machineConfig = machineConfig
        self.secretNames = secretNames
        self.generation = generation
        floor = generation
    }
}

/// The configuration a connector's machines are created with.
public struct MachineTemplate: Sendable, Equatable {
    public var image: String
    public var command: [String]
    public var environment: [String: String]
    public var memoryMB: Int
    public var cpus: Int
    public var pids: Int
    /// `auto`, `legacy` or `modern`; nil is `auto`.
    public var era: String?
    public var hosting: ConnectorHosting?
    /// Where the server listens, if it speaks HTTP.
    public var http: MachineConfig.HTTP?
    public var egress: [String]?
    public var egressPrivate: [String]?
    public var idle: MachineConfig.Idle?
    /// Of a trial that tells what was refused.
    public var isTraced = false
    /// Of the connector; a machine of another generation is not used any more.
    public var generation: Int

    public init(
        image: String, command: [String], environment: [String: String], memoryMB: Int = 256, cpus: Int = 1, pids: Int = 64,
        era: String? = nil, generation: Int = 1
    ) {
        self.image = image
        self.command = command
        self.environment = environment
        self.memoryMB = memoryMB
        self.cpus = cpus
        self.pids = pids
        self.era = era
        self.generation = generation
    }
}
