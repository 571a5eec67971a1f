/// Where the machine layer keeps its things.
public struct OCIConfiguration: Sendable {
    /// Path of crun or runc; empty: the first of `OCIConfiguration.runtimeCandidates` that exists.
    public var runtimePath: String
    /// Absolute; holds `bundles/`, `runtime/` and `logs/`, for root alone.
    public var stateDirectory: String
    /// Absolute and short; a sibling `<runDirectory>.mnt` holds the empty directories that root file systems are mounted on.
    public var runDirectory: String
    /// `/berth-<10 hex>`: the parent of every machine's cgroup, one per installation.
    public var cgroupPrefix: String
    /// The group that may connect to doors (the gateway's).
    public var doorGroup: UInt32
    /// `false`: the whole process lives in a private mount namespace (`OCIRuntime.prepareProcess`). `true`: only the
    /// runtime's own threads do, which is what a process with threads, such as a test, can still have.
    public var ownMountNamespace: Bool

    public init(
        stateDirectory: String, runDirectory: String, cgroupPrefix: String, doorGroup: UInt32, runtimePath: String = "",
        ownMountNamespace: Bool = false
    ) {
        self.stateDirectory = stateDirectory
        self.runDirectory = runDirectory
        self.cgroupPrefix = cgroupPrefix
        self.doorGroup = doorGroup
        self.runtimePath = runtimePath
        self.ownMountNamespace = ownMountNamespace
    }

    /// Where crun, and then runc, are looked for.
    public static let runtimeCandidates = ["crun", "runc"].flatMap { name in
        ["/usr/bin/", "/usr/local/bin/", "/usr/sbin/", "/usr/local/sbin/"].map { $0 + name }
    }

    var bundles: String { stateDirectory + "/bundles" }
    var logs: String { stateDirectory + "/logs" }
    /// The runtime's own `--root`: absolute, since crun changes directory in `create`.
    var runtimeRoot: String { stateDirectory + "/runtime" }
    /// In a user namespace runc opens the root by its path, so every directory on the way must be passable for others.
    var mounts: String { runDirectory + ".mnt" }

    func bundle(_ name: BootName) -> String { "\(bundles)/\(name)" }
    func mountPoint(_ name: BootName) -> String { "\(mounts)/\(name)" }
    func cgroup(_ name: BootName) -> String { "\(cgroupPrefix)/\(name)" }
}
