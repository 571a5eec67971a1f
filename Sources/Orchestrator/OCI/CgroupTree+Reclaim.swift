import Glibc

extension CgroupTree {
    /// How much of a cgroup's memory the kernel tries to push out at a time.
    private static let step = 4 << 20
    /// How often it may find nothing to push out before that is believed.
    private static let passes = 16

    /// Pushes what the cgroup holds in memory out to swap, as far as the kernel does it; for one that stands still.
    ///
    /// - Returns: bytes that left memory; `nil` where there is no swap, so that nothing was tried.
    func reclaim(_ path: String) -> Int? {
        guard Self.hostHasSwap, let directory = directory("memory", path) else { return nil }
        let before = memoryBytes(directory)
        if isVersion2 {
            // A machine may not swap while it runs.
            try? Files.set(directory + "/memory.swap.max", "max")
            // The kernel does what it can, and answers EAGAIN for the rest.
            push(directory, from: before) { try Files.set(directory + "/memory.reclaim", "\(Self.step)") }
        } else {
            let file = directory + "/memory.limit_in_bytes"
            guard let limit = intendedLimit(directory) else { return 0 }
            push(directory, from: before) { try Files.set(file, "\(max(Self.step, memoryBytes(directory) - Self.step))") }
            try? Files.set(file, "\(limit)")
        }
        return max(0, before - memoryBytes(directory))
    }

    /// One step after the other, until little is left or nothing moves. What was used a moment ago is passed over the first times.
    private func push(_ directory: String, from before: Int, _ step: () throws -> Void) {
        var (left, idle) = (before, 0)
        while left > Self.step, idle < Self.passes {
            try? step()
            let now = memoryBytes(directory)
            idle = now < left ? 0 : idle + 1
            left = min(left, now)
        }
    }

    /// The machine runs again: what it has in swap comes back as it is touched, and no more goes there. A limit that was lowered for a
    /// reclaim whose orchestrator died is what it was.
    func endReclaim(_ path: String) {
        guard let directory = directory("memory", path) else { return }
        if isVersion2 { return (try? Files.set(directory + "/memory.swap.max", "0")) ?? () }
        let file = directory + "/memory.limit_in_bytes"
        guard let limit = intendedLimit(directory), let now = number(file), now < limit else { return }
        try? Files.set(file, "\(limit)")
    }

    /// Of version 1: a machine's limits of memory and of memory with swap are the same number, and only the first is ever lowered.
    private func intendedLimit(_ directory: String) -> Int? {
        number(directory + "/memory.memsw.limit_in_bytes") ?? number(directory + "/memory.limit_in_bytes")
    }

    /// Whether the host has anywhere to push memory to.
    static var hostHasSwap: Bool {
        (Files.read("/proc/swaps") ?? "").split(separator: "\n").count > 1
    }

    private func memoryBytes(_ directory: String) -> Int {
        number(directory + (isVersion2 ? "/memory.current" : "/memory.usage_in_bytes")) ?? 0
    }

    private func number(_ file: String) -> Int? { Files.read(file).flatMap { Int($0.filter { $0 != "\n" }) } }
}
