/// What a machine uses, has used since its boot, and may use. Of one that has no boot only the disk is told.
public struct MachineUsage: Codable, Sendable, Equatable {
    public struct CPU: Codable, Sendable, Equatable {
        /// Processor time since the boot, in milliseconds.
        public var time_ms: Int
        /// Processors in use, over the last quarter of a second: 0.25 is a quarter of one.
        public var used: Double
        /// Processors that it may use; absent where nothing bounds them.
        public var limit: Double?
        /// Of the kernel's periods (100 ms) those in which it ran, and those in which it had used up its share and had to wait.
        public var periods: Int
        public var throttled_periods: Int
        public var throttled_ms: Int

        public init(time_ms: Int, used: Double, limit: Double?, periods: Int, throttled_periods: Int, throttled_ms: Int) {
            self.time_ms = time_ms
            self.used = used
            self.limit = limit
            self.periods = periods
            self.throttled_periods = throttled_periods
            self.throttled_ms = throttled_ms
        }
    }

    /// Bytes.
    public struct Memory: Codable, Sendable, Equatable {
        /// Everything that counts against the limit.
        public var used: Int
        /// Without the cached files that the kernel would give up first.
        public var working_set: Int
        /// Of its processes alone.
        public var rss: Int
        public var limit: Int?
        public var peak: Int?
        /// How often it came up against the limit.
        public var limit_hits: Int
        /// Processes that the kernel ended for want of memory.
        public var oom_kills: Int

        public init(used: Int, working_set: Int, rss: Int, limit: Int?, peak: Int?, limit_hits: Int, oom_kills: Int) {
            self.used = used
            self.working_set = working_set
            self.rss = rss
            self.limit = limit
            self.peak = peak
            self.limit_hits = limit_hits
            self.oom_kills = oom_kills
        }
    }

    /// Processes and threads.
    public struct Pids: Codable, Sendable, Equatable {
        public var now: Int
        public var limit: Int?
        /// How often one was refused.
        public var limit_hits: Int

        public init(now: Int, limit: Int?, limit_hits: Int) {
            self.now = now
            self.limit = limit
            self.limit_hits = limit_hits
        }
    }

    public struct Descriptors: Codable, Sendable, Equatable {
        /// Of all processes.
        public var open: Int
        /// Of the process with the most.
        public var most: Int
        /// Of one process.
        public var limit: Int?

        public init(open: Int, most: Int, limit: Int?) {
            self.open = open
            self.most = most
            self.limit = limit
        }
    }

    /// Bytes. What lies in `tmp` and `shm` is memory of the machine.
    public struct Disk: Codable, Sendable, Equatable {
        public var tmp: Int?
        public var tmp_limit: Int?
        public var shm: Int?
        public var shm_limit: Int?
        /// What is kept of what it wrote, through all its boots.
        public var log: Int

        public init(tmp: Int?, tmp_limit: Int?, shm: Int?, shm_limit: Int?, log: Int) {
            self.tmp = tmp
            self.tmp_limit = tmp_limit
            self.shm = shm
            self.shm_limit = shm_limit
            self.log = log
        }
    }

    public var machine: String
    public var app: String
    public var state: MachineState
    public var boot_id: String?
    public var cpu: CPU?
    public var memory: Memory?
    public var pids: Pids?
    public var descriptors: Descriptors?
    public var disk: Disk
    /// Of its last start that came to its end, which may have been an earlier boot's.
    public var start: StartStages?

    public init(
        machine: String, app: String, state: MachineState, boot_id: String?, cpu: CPU?, memory: Memory?, pids: Pids?, descriptors: Descriptors?,
        disk: Disk, start: StartStages?
    ) {
        self.machine = machine
        self.app = app
        self.state = state
        self.boot_id = boot_id
        self.cpu = cpu
        self.memory = memory
        self.pids = pids
        self.descriptors = descriptors
        self.disk = disk
        self.start = start
    }
}

/// How long each step of a start took, one after the other, in milliseconds with one decimal.
public struct StartStages: Codable, Sendable, Equatable {
    /// Its row, which owns what is made of it.
    public var row_ms: Double
    /// Its root file system.
    public var root_ms: Double
    /// The runtime's `create`: namespaces, control groups, its first process.
    public var create_ms: Double
    /// The runtime's `start`.
    public var start_ms: Double
    /// Until its agent said its first word; absent where nothing was heard of it.
    public var agent_ms: Double?
    /// Until its server answered.
    public var server_ms: Double
    public var total_ms: Double

    public init(row_ms: Double, root_ms: Double, create_ms: Double, start_ms: Double, agent_ms: Double?, server_ms: Double, total_ms: Double) {
        self.row_ms = row_ms
        self.root_ms = root_ms
        self.create_ms = create_ms
        self.start_ms = start_ms
        self.agent_ms = agent_ms
        self.server_ms = server_ms
        self.total_ms = total_ms
    }
}
