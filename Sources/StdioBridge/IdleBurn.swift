import NIOCore

/// Whether a server that nobody waits for keeps a processor busy: some spin when their client is gone. A pure value.
struct IdleBurn {
    private var last: (cpu: TimeAmount, at: NIODeadline)?
    /// Busy without a pause since then.
    private var since: NIODeadline?

    /// - Parameters:
    ///   - cpu: what its processes have used so far.
    ///   - lastRequest: what it did for its caller counts for nothing.
    /// - Returns: How long it has been busy for nobody.
    mutating func observe(cpu: TimeAmount, lastRequest: NIODeadline, share: Double, now: NIODeadline) -> TimeAmount {
        defer { last = (cpu, now) }
        guard let last, last.at >= lastRequest, now > last.at else {
            since = nil
            return .zero
        }
        let used = Double((cpu - last.cpu).nanoseconds) / Double((now - last.at).nanoseconds)
        guard used >= share else {
            since = nil
            return .zero
        }
        since = since ?? last.at
        return now - (since ?? now)
    }
}
