import Door

extension BootDocument.ChildLimits {
    /// Tasks (processes and threads) of a machine that are not for children: the agent's threads, the short-lived copies of
    /// itself that start a child and remove what one left, and some for children that are busier than most.
    private static let agentTasks = 24
    /// Tasks of one child. Measured with the MCP SDK for Python, on which most servers are built: 3 when idle, 9 to 10 in
    /// eight calls at once.
    private static let childTasks = 8
    /// The same server has 47 MiB of its own. Below this, a process that may never be used is no good use of memory.
    private static let leastMemoryForSpare = 128 << 20

    /// What a machine of these limits can hold: a child is a session, so this is how many it serves at once. At 64 tasks
    /// it is 5, which is also what the 256 MiB that go with them hold; who makes room for another, `Seats` says.
    init(within limits: MachineLimits) {
        let children = max(1, (limits.pids - Self.agentTasks) / Self.childTasks)
        self.init(
            maximumChildren: children, processes: max(16, limits.pids - Self.agentTasks),
            // The last quarter is for what the sessions' children grow by, and for `/tmp` and cached files.
            spareBelowBytes: children > 1 && limits.memoryBytes >= Self.leastMemoryForSpare ? limits.memoryBytes / 4 * 3 : 0)
    }
}
