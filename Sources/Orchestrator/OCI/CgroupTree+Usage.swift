import Glibc

extension CgroupTree {
    /// What the cgroup's own files tell; `nil` when there is no such cgroup.
    func statistics(_ path: String) -> MachineStatistics? {
        guard let memory = directory("memory", path), Files.isDirectory(memory) else { return nil }
        var now = MachineStatistics()
        if isVersion2 { readVersion2(memory, &now) } else { readVersion1(path, &now) }
        let pids = directory("pids", path) ?? memory
        now.pids = number(pids + "/pids.current") ?? 0
        now.pidLimit = number(pids + "/pids.max")
        now.pidLimitHits = value("max", in: pids + "/pids.events") ?? 0
        now.oomKills = oomKills(path)
        // Kernel 6.18 counts no hits in version 1 any more; each of these was one.
        now.memoryLimitHits = max(now.memoryLimitHits, now.oomKills)
        return now
    }

    private func readVersion2(_ directory: String, _ now: inout MachineStatistics) {
        now.memoryBytes = number(directory + "/memory.current") ?? 0
        now.memoryLimitBytes = number(directory + "/memory.max")
        now.memoryPeakBytes = number(directory + "/memory.peak")
        now.memoryLimitHits = value("max", in: directory + "/memory.events") ?? 0
        let memory = Self.words(in: directory + "/memory.stat")
        now.residentBytes = memory["anon"] ?? 0
        now.workingSetBytes = max(0, now.memoryBytes - (memory["inactive_file"] ?? 0))
        let cpu = Self.words(in: directory + "/cpu.stat")
        now.cpuMicroseconds = cpu["usage_usec"] ?? 0
        now.cpuPeriods = cpu["nr_periods"] ?? 0
        now.throttledPeriods = cpu["nr_throttled"] ?? 0
        now.throttledMicroseconds = cpu["throttled_usec"] ?? 0
        // `50000 100000`, or `max 100000`.
        let share = Files.read(directory + "/cpu.max")?.split(whereSeparator: \.isWhitespace).compactMap { Double($0) } ?? []
        if share.count == 2, share[1] > 0 { now.cpuLimit = share[0] / share[1] }
    }

    private func readVersion1(_ path: String, _ now: inout MachineStatistics) {
        func file(_ controller: String, _ name: String) -> String { (directory(controller, path) ?? "/nonexistent") + "/" + name }
        now.memoryBytes = number(file("memory", "memory.usage_in_bytes")) ?? 0
        now.memoryLimitBytes = number(file("memory", "memory.limit_in_bytes"))
        now.memoryPeakBytes = number(file("memory", "memory.max_usage_in_bytes"))
        // A machine's swap counts as its memory: it is that counter that comes up against the limit.
        now.memoryLimitHits = max(number(file("memory", "memory.failcnt")) ?? 0, number(file("memory", "memory.memsw.failcnt")) ?? 0)
        let memory = Self.words(in: file("memory", "memory.stat"))
        now.residentBytes = memory["total_rss"] ?? memory["rss"] ?? 0
        now.workingSetBytes = max(0, now.memoryBytes - (memory["total_inactive_file"] ?? memory["inactive_file"] ?? 0))
        now.cpuMicroseconds = (number(file("cpuacct", "cpuacct.usage")) ?? 0) / 1_000
        let cpu = Self.words(in: file("cpu", "cpu.stat"))
        now.cpuPeriods = cpu["nr_periods"] ?? 0
        now.throttledPeriods = cpu["nr_throttled"] ?? 0
        now.throttledMicroseconds = (cpu["throttled_time"] ?? 0) / 1_000
        if let quota = number(file("cpu", "cpu.cfs_quota_us")), quota > 0, let period = number(file("cpu", "cpu.cfs_period_us")), period > 0 {
            now.cpuLimit = Double(quota) / Double(period)
        }
    }

    /// What version 1 calls no limit is the largest number of whole pages.
    private static let unlimited = Int.max - (1 << 20)

    /// A file that holds one number; `nil` for one that says `max`.
    private func number(_ file: String) -> Int? {
        guard let number = Files.read(file).flatMap({ Int($0.filter { $0 != "\n" }) }), number < Self.unlimited else { return nil }
        return number
    }

    /// A file of `word number` lines.
    private static func words(in file: String) -> [Substring: Int] {
        var words: [Substring: Int] = [:]
        for line in (Files.read(file) ?? "").split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2, let number = Int(fields[1]) { words[fields[0]] = number }
        }
        return words
    }
}
