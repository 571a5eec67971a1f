import Glibc

extension CgroupTree {
    /// How much of a cgroup's memory the kernel tries to push out at a time.
    private static let step = 4 << 20

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
            for _ in 0..<64 where memoryBytes(directory) > Self.step {
                guard (try? Files.set(directory + "/memory.reclaim", "\(memoryBytes(directory))")) == nil else { break }
            }
        } else {
            let file = directory + "/memory.limit_in_bytes"
            guard let limit = number(file) else { return 0 }
            var wanted = memoryBytes(directory) - Self.step
            while wanted > Self.step, (try? Files.set(file, "\(wanted)")) != nil { wanted -= Self.step }
            try? Files.set(file, "\(limit)")
        }
        return max(0, before - memoryBytes(directory))
    }

    /// The machine runs again: what it has in swap comes back as it is touched, and no more goes there.
    func endReclaim(_ path: String) {
        guard isVersion2, let directory = directory("memory", path) else { return }
        try? Files.set(directory + "/memory.swap.max", "0")
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
