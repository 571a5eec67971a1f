/// What a machine uses now, as the kernel counts it. Sizes in bytes, times in microseconds; `nil` where this kernel does not say.
public struct MachineStatistics: Sendable, Equatable {
    /// Everything that is charged to it: its processes', cached files, `/tmp`.
    public var memoryBytes = 0
    /// Without the cached files that the kernel would give up first.
    public var workingSetBytes = 0
    /// Of its processes alone.
    public var residentBytes = 0
    public var memoryLimitBytes: Int?
    /// The most since the boot.
    public var memoryPeakBytes: Int?
    /// How often it came up against its limit, and had to give up cached files at least.
    public var memoryLimitHits = 0
    /// Processes that the kernel ended for want of memory since the boot.
    public var oomKills = 0

    public var pids = 0
    public var pidLimit: Int?
    /// How often a process or thread was refused to it.
    public var pidLimitHits = 0

    public var cpuMicroseconds = 0
    /// Processors that it may use.
    public var cpuLimit: Double?
    /// Of the kernel's periods of 100 ms those in which it ran, and those in which it had to wait for its share.
    public var cpuPeriods = 0
    public var throttledPeriods = 0
    public var throttledMicroseconds = 0

    /// Open descriptors of all its processes, and of the one with the most.
    public var descriptors = 0
    public var mostDescriptors = 0
    /// Of one process.
    public var descriptorLimit: Int?

    /// `/tmp` and `/dev/shm`; their pages are memory of the machine.
    public var tmp: FileSystemUse?
    public var shm: FileSystemUse?

    public struct FileSystemUse: Sendable, Equatable {
        public var used: Int
        public var limit: Int
    }
}
