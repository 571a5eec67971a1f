/// How much memory the machines of a host may be promised, and are. Bytes.
public struct MemoryReport: Codable, Sendable, Equatable {
    /// As `berth up --memory-budget` was given it: `80%`, or MiB.
    public var setting: String
    public var budget: Int
    /// The limits of all machines that hold memory or are about to, of image builds too.
    public var promised: Int
    /// How many those are.
    public var machines: Int
    public var headroom: Int
    /// Of the host, or of the control group that Berth runs in, whichever is less.
    public var host_total: Int
    public var host_available: Int
    /// Stays available, whatever is started.
    public var host_reserve: Int

    public init(
        setting: String, budget: Int, promised: Int, machines: Int, headroom: Int, host_total: Int, host_available: Int, host_reserve: Int
    ) {
        self.setting = setting
        self.budget = budget
        self.promised = promised
        self.machines = machines
        self.headroom = headroom
        self.host_total = host_total
        self.host_available = host_available
        self.host_reserve = host_reserve
    }
}
