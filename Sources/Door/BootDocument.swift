import Sealing

/// The one document that a booting agent reads (DESIGN §5 "Boot"): who it is, its keys, what to run and within which
/// bounds. It exists in a channel that no child can reach, and nothing in it is optional by way of a default key.
public struct BootDocument: Sendable, Equatable {
    /// Bytes of the document at most.
    public static let maximumSize = 256 * 1_024

    /// How the agent speaks to what it runs.
    public enum Transport: String, Sendable {
        /// MCP over stdin and stdout, a child per session.
        case stdio
        /// MCP over HTTP, at ``BootDocument/http``: one server for all sessions.
        case http
        /// One command, run once to its end; no door.
        case job
    }

    /// Where a server that speaks HTTP listens, on the machine's loopback device.
    public struct HTTPPlace: Sendable, Equatable {
        public var port: Int
        /// Of its MCP endpoint.
        public var path: String

        public init(port: Int, path: String) {
            self.port = port
            self.path = path
        }
    }

    /// What the agent keeps children by.
    public enum Mode: String, Sendable {
        /// A child per (session, credential fingerprint).
        case session
        /// One child per fingerprint, for servers without session state.
        case shared
    }

    /// Bounds of the children.
    public struct ChildLimits: Sendable, Equatable {
        /// Children at one time.
        public var maximumChildren: Int
        /// Seconds without a call after which a child is ended.
        public var idleSeconds: Int
        /// `RLIMIT_NPROC` of a child's uid.
        public var processes: Int
        /// `RLIMIT_NOFILE`.
        public var openFiles: Int
        /// `RLIMIT_FSIZE`.
        public var fileBytes: Int
        /// One child is kept started for the next session without credentials, while all children together, it included,
        /// have no more memory of their own than this; 0 for never.
        public var spareBelowBytes: Int

        public init(
            maximumChildren: Int = 16, idleSeconds: Int = 900, processes: Int = 64, openFiles: Int = 1_024, fileBytes: Int = 256 << 20,
            spareBelowBytes: Int = 0
        ) {
            self.maximumChildren = maximumChildren
            self.idleSeconds = idleSeconds
            self.processes = processes
            self.openFiles = openFiles
            self.fileBytes = fileBytes
            self.spareBelowBytes = spareBelowBytes
        }
    }

    /// The protocol era that is spoken with the server: found out, or as an admin knows it.
    public enum EraChoice: String, Sendable, CaseIterable { case auto, legacy, modern }

    public enum LogLevel: String, Sendable {
        case debug, info, notice, warning, error
    }

    public var org: String
    public var app: String
    public var machine: String
    public var boot: String
    public var kid: String
    public var signKey: Secret
    public var sealKey: Secret
    public var generation: Int
    /// The argv to run; never empty.
    public var command: [String]
    /// Working directory of the children.
    public var directory: String
    public var environment: [String: String]
    public var transport: Transport
    /// There for ``Transport/http`` and for nothing else.
    public var http: HTTPPlace?
    public var childLimits: ChildLimits
    public var mode: Mode
    public var era: EraChoice
    public var startTimeoutSeconds: Int
    /// The only principal whose calls the machine takes; nil for anybody's.
    public var owner: String?
    /// Keys of the app as a whole, where the machine takes calls from those who do not choose the machine.
    public var appKeys: DoorKeys?
    /// What may be reached: `host:port` for a job, texts of ``EgressRule`` for a server. Empty: no network at all.
    public var egress: [String]
    public var logLevel: LogLevel

    public init(
        org: String, app: String, keys: DoorKeys, machine: String, boot: String, command: [String], directory: String = "/",
        environment: [String: String] = [:], transport: Transport = .stdio, http: HTTPPlace? = nil, childLimits: ChildLimits = ChildLimits(),
        mode: Mode = .session, era: EraChoice = .auto, startTimeoutSeconds: Int = 30, owner: String? = nil, appKeys: DoorKeys? = nil,
        egress: [String] = [], logLevel: LogLevel = .info
    ) {
        self.org = org
        self.app = app
        self.machine = machine
        self.boot = boot
        kid = keys.kid
        signKey = keys.sign
        sealKey = keys.seal
        generation = keys.generation
        self.command = command
        self.directory = directory
        self.environment = environment
        self.transport = transport
        self.http = http
        self.childLimits = childLimits
        self.mode = mode
        self.era = era
        self.startTimeoutSeconds = startTimeoutSeconds
        self.owner = owner
        self.appKeys = appKeys
        self.egress = egress
        self.logLevel = logLevel
    }

    /// The keys of this boot, for a ``TokenVerifier``.
    public var keys: DoorKeys {
        DoorKeys(scope: .machine(id: machine, boot: boot), kid: kid, generation: generation, sign: signKey, seal: sealKey)
    }
}
