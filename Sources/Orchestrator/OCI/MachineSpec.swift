/// Bounds of one machine.
public struct MachineLimits: Sendable, Equatable {
    /// Memory, and memory plus swap: a machine does not swap.
    public var memoryBytes: Int
    /// Processor time, in processors.
    public var cpus: Double
    /// Processes and threads together.
    public var pids: Int
    /// Size of `/tmp`; its pages count as memory of the machine.
    public var tmpBytes: Int
    /// Open files of one process (hard limit; the soft one is 1,024 at most).
    public var files: Int

    public init(memoryBytes: Int = 256 << 20, cpus: Double = 0.5, pids: Int = 64, tmpBytes: Int = 64 << 20, files: Int = 4096) {
        self.memoryBytes = memoryBytes
        self.cpus = cpus
        self.pids = pids
        self.tmpBytes = tmpBytes
        self.files = files
    }
}

/// A file or folder of the host that a machine sees.
public struct BindMount: Sendable, Equatable {
    public var source: String
    /// Absolute path inside; the image need not contain it.
    public var destination: String
    public var readOnly: Bool

    public init(source: String, destination: String, readOnly: Bool = true) {
        self.source = source
        self.destination = destination
        self.readOnly = readOnly
    }
}

/// Everything that makes one boot of one machine.
public struct MachineSpec: Sendable {
    /// 14 hex digits.
    public var machine: String
    /// The boot id, a ULID; with the machine id it names container, cgroup and bundle.
    public var boot: String
    /// Which range of 65,536 host user ids the machine gets; not reused while a process of it lives.
    public var slot: Int
    /// Absolute directories, lowest first.
    public var layers: [String]
    public var arguments: [String]
    /// `NAME=value`; readable from inside by everybody, so nothing secret.
    public var environment: [String]
    public var limits: MachineLimits
    public var binds: [BindMount]
    public var hostname: String
    /// Where the machine's door is bound on the host; `nil` for a machine that serves nothing (descriptor 3 is then a
    /// socket that is connected to nothing).
    public var doorPath: String?
    /// What the agent reads from descriptor 4, once.
    public var bootDocument: [UInt8]
    /// Lets programs in `/tmp` be executed, for servers that unpack native code there.
    public var tmpExecutable: Bool
    /// Whether anything in it speaks TCP: a server that listens, or one that may call out.
    var usesNetwork = false
    /// Less inside than others have: fewer kinds of sockets, descriptors and shared memory.
    var isUntrusted = false
    /// Lets its programs trace each other, as far as the kernel lets them: for a trial, whose refused calls are told.
    var allowsTracing = false
    /// Layers that this host does not give and that the machine goes without.
    var without: Set<String> = []
    /// Of an OCI runtime other than the host's own.
    var runtimePath: String?
    /// Whether every address in the machine is its own, for an agent that relays; else it has a `lo` and no route.
    public var hasLocalNetwork = false
    /// Whether the agent of a machine without a route answers names, so that it can tell which were asked for.
    var answersNames = false
    /// Allows System V shared memory, queues and semaphores, and POSIX queues: they outlive the process that made them.
    public var allowsSystemVIPC: Bool

    public init(
        machine: String, boot: String, slot: Int, layers: [String], arguments: [String],
        environment: [String] = MachineSpec.defaultEnvironment, limits: MachineLimits = MachineLimits(), binds: [BindMount] = [],
        hostname: String? = nil, doorPath: String? = nil, bootDocument: [UInt8] = [], tmpExecutable: Bool = false,
        allowsSystemVIPC: Bool = false
    ) {
        self.machine = machine
        self.boot = boot
        self.slot = slot
        self.layers = layers
        self.arguments = arguments
        self.environment = environment
        self.limits = limits
        self.binds = binds
        self.hostname = hostname ?? machine
        self.doorPath = doorPath
        self.bootDocument = bootDocument
        self.tmpExecutable = tmpExecutable
        self.allowsSystemVIPC = allowsSystemVIPC
    }

    public static let defaultEnvironment = ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"]

    /// How many user ids a machine has.
    public static let uidCount = 65_536

    /// The host user id that is uid 0 inside the machine of `slot`.
    public static func uidBase(slot: Int) -> Int { 200_000 + uidCount * slot }
}

/// A machine whose first process exists (after `create`) or runs (after `start`).
public struct CreatedMachine: Sendable, Equatable {
    public let machine: String
    public let boot: String
    /// The host's process id of the machine's PID 1.
    public let pid: Int32
    /// Its own program runs; after `create` it does not yet.
    public let isStarted: Bool
    /// When its root file system was there; nil of one that was adopted.
    var rootedAt: ContinuousClock.Instant?
}

/// What the host holds of a machine. Without pids it is a leftover.
public struct SurveyedMachine: Sendable, Equatable {
    public let machine: String
    public let boot: String
    public let pids: [Int32]
}

/// The end of a machine's PID 1.
public struct MachineExit: Sendable, Equatable {
    public let machine: String
    public let boot: String
    /// `nil` when it died by a signal, and (with `signal` also `nil`) when it was adopted: only a parent learns the status.
    public let code: Int32?
    public let signal: Int32?
    /// It died while the kernel was ending processes of this machine for want of memory.
    public let oomKilled: Bool
}

/// `<machine>-<boot>`: the name of container, cgroup, bundle and mount point of one boot.
struct BootName: Hashable, Sendable, CustomStringConvertible {
    let machine: String
    let boot: String

    init(machine: String, boot: String) {
        self.machine = machine
        self.boot = boot
    }

    /// Reads a directory's name; `nil` when it is not one of ours.
    init?(_ name: String) {
        guard let dash = name.firstIndex(of: "-") else { return nil }
        self.init(machine: String(name[..<dash]), boot: String(name[name.index(after: dash)...]))
        guard isSafe else { return nil }
    }

    /// Whether both parts can stand in a path, a cgroup name and a container id.
    var isSafe: Bool {
        func plain(_ text: String) -> Bool {
            !text.isEmpty && text.utf8.count <= 64
                && text.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) }
        }
        return plain(machine) && plain(boot)
    }

    var description: String { machine + "-" + boot }
}
