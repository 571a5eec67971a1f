import MachineAPI
import NIOPosix

extension MachineService {
    /// How long processor time is watched to tell how much of it is used now.
    private static let window = Duration.milliseconds(250)

    /// What each of the machines uses, in their order. Takes the time of ``window`` where one of them has a boot.
    func usage(_ machines: [MachineRecord]) async throws -> [MachineUsage] {
        let first = await readings(machines)
        var seconds = 0.0
        var second: [String: MachineStatistics] = [:]
        if !first.isEmpty {
            let begin = ContinuousClock.now
            try await Task.sleep(for: Self.window)
            second = await readings(machines)
            seconds = begin.duration(to: .now) / .seconds(1)
        }
        let runtime = reconciler.host.runtime
        let logs = try await NIOThreadPool.singleton.runIfActive { machines.map { runtime.logBytes($0.id) } }
        var usages: [MachineUsage] = []
        for (machine, log) in zip(machines, logs) {
            var usage = MachineUsage(
                machine: machine.id, app: machine.app, state: machine.state, boot_id: machine.boot?.boot, cpu: nil, memory: nil, pids: nil,
                descriptors: nil, disk: .init(tmp: nil, tmp_limit: nil, shm: nil, shm_limit: nil, log: log),
                start: try await store.lastStart(of: machine.id))
            if let before = first[machine.id], let now = second[machine.id] { usage.add(now, since: before, seconds: seconds) }
            usages.append(usage)
        }
        return usages
    }

    private func readings(_ machines: [MachineRecord]) async -> [String: MachineStatistics] {
        let runtime = reconciler.host.runtime
        return await withTaskGroup(of: (String, MachineStatistics?).self) { group in
            for machine in machines {
                guard let boot = machine.boot else { continue }
                group.addTask { (machine.id, await runtime.statistics(machine.id, boot: boot.boot)) }
            }
            var result: [String: MachineStatistics] = [:]
            for await (id, reading) in group { result[id] = reading }
            return result
        }
    }
}

extension MachineUsage {
    fileprivate mutating func add(_ now: MachineStatistics, since before: MachineStatistics, seconds: Double) {
        let spent = Double(max(0, now.cpuMicroseconds - before.cpuMicroseconds)) / 1e6
        cpu = CPU(
            time_ms: now.cpuMicroseconds / 1_000, used: seconds > 0 ? (spent / seconds * 1_000).rounded() / 1_000 : 0, limit: now.cpuLimit,
            periods: now.cpuPeriods, throttled_periods: now.throttledPeriods, throttled_ms: now.throttledMicroseconds / 1_000)
        memory = Memory(
            used: now.memoryBytes, working_set: now.workingSetBytes, rss: now.residentBytes, limit: now.memoryLimitBytes,
            peak: now.memoryPeakBytes, limit_hits: now.memoryLimitHits, oom_kills: now.oomKills)
        pids = Pids(now: now.pids, limit: now.pidLimit, limit_hits: now.pidLimitHits)
        descriptors = Descriptors(open: now.descriptors, most: now.mostDescriptors, limit: now.descriptorLimit)
        disk.tmp = now.tmp?.used
        disk.tmp_limit = now.tmp?.limit
        disk.shm = now.shm?.used
        disk.shm_limit = now.shm?.limit
    }
}
