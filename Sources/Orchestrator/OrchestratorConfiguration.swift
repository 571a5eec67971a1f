public import Logging

/// Everything `berth orchestrator` is told: paths and addresses, no secret.
public struct OrchestratorConfiguration: Sendable {
    /// `<state>/orchestrator`, absolute; for root alone.
    public var stateDirectory: String
    /// `/run/berth/<key>`, short: sockets live in it.
    public var runDirectory: String
    /// `/berth-<key>`: the parent of the machines' cgroups.
    public var cgroupPrefix: String
    /// The user that may use `machines.sock` beside root.
    public var gatewayUID: UInt32
    /// The group that may connect to `machines.sock` and to doors.
    public var gatewayGID: UInt32
    /// The static `berth-agent`.
    public var agentPath: String
    public var listenHost = "127.0.0.1"
    /// 0: the port of the last run if it is free, else any.
    public var listenPort = 0
    /// `Host` names of the TCP listener beside the loopback ones and `listenHost`.
    public var allowedHosts: [String] = []
    public var index = IndexConfiguration.pypi
    /// The npm registry; nil for npm's own default.
    public var npmRegistry: IndexConfiguration?
    /// Seconds since its publication within which a package is asked about before it is built; 0: never.
    public var releaseAge = 72 * 3_600
    /// Names that others like to be taken for; nil for the list that Berth brings.
    public var knownServers: KnownServers?
    /// Base and builder trees, shared by the installations of a host.
    public var cacheDirectory = "/var/cache/berth"
    /// What an image may weigh unpacked, in bytes.
    public var imageLimit = TreeLimits().bytes
    public var caBundle = "/etc/ssl/certs/ca-certificates.crt"
    /// Bytes that must be free on the state's disk before anything is built.
    public var buildRoom = BuildRoom.standard
    /// crun or runc; empty: the first that is found.
    public var runtimePath = ""
    /// How much memory all machines may be promised together.
    public var memoryBudget = MemoryBudgetSetting.standard
    /// Whether commands may be run in machines at all.
    public var allowsExec = false
    /// The gateway's control socket, which takes their audit rows.
    public var auditSocket: String?
    /// Adopt, stop every machine, end; rows stay as they are.
    public var stopAll = false
    /// Make what image builds need in the background, ahead of the first build.
    public var preparesImages = true
    /// For tests, whose process has threads before it comes here; see ``OCIConfiguration/ownMountNamespace``.
    public var ownMountNamespace = false
    public var logLevel = Logger.Level.info

    public init(
        stateDirectory: String, runDirectory: String, cgroupPrefix: String, gatewayUID: UInt32, gatewayGID: UInt32, agentPath: String
    ) {
        self.stateDirectory = stateDirectory
        self.runDirectory = runDirectory
        self.cgroupPrefix = cgroupPrefix
        self.gatewayUID = gatewayUID
        self.gatewayGID = gatewayGID
        self.agentPath = agentPath
    }

    public var machinesSocket: String { runDirectory + "/machines.sock" }
    public var doorsDirectory: String { runDirectory + "/doors" }
    var egressDirectory: String { runDirectory + "/egress" }
    var database: String { stateDirectory + "/orchestrator.db" }
    var keyFile: String { stateDirectory + "/keys" }
    var lockFile: String { stateDirectory + "/lock" }

    var oci: OCIConfiguration {
        OCIConfiguration(
            stateDirectory: stateDirectory, runDirectory: runDirectory, cgroupPrefix: cgroupPrefix, doorGroup: gatewayGID,
            runtimePath: runtimePath, ownMountNamespace: ownMountNamespace)
    }
}
