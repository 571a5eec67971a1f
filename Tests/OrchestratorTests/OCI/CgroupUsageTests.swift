import Foundation
import Glibc
import Testing

@testable import Orchestrator

/// What a machine uses, out of files as kernels write them: recorded on a hybrid host (6.18), and of version 2 as Debian 12's (6.1) has them.
struct CgroupUsageTests {
    private static let version1: [String: String] = [
        "memory/memory.usage_in_bytes": "50331648\n", "memory/memory.limit_in_bytes": "268435456\n", "memory/memory.max_usage_in_bytes": "61341696\n",
        "memory/memory.failcnt": "3\n", "memory/memory.memsw.failcnt": "7\n", "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "memory/memory.stat": "cache 9437184\nrss 4096\nmapped_file 0\ninactive_file 11\ntotal_cache 9437184\ntotal_rss 38797312\ntotal_inactive_file 8388608\n",
        "cpuacct/cpuacct.usage": "1234567890\n", "cpu/cpu.stat": "nr_periods 120\nnr_throttled 45\nthrottled_time 987654321\n",
        "cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n", "pids/pids.current": "9\n", "pids/pids.max": "64\n",
        "pids/pids.events": "max 5\n",
    ]
    private static let version2: [String: String] = [
        "memory.current": "50331648\n", "memory.max": "268435456\n", "memory.peak": "61341696\n",
        "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n",
        "memory.stat": "anon 38797312\nfile 9437184\nkernel 1\ninactive_anon 4\ninactive_file 8388608\nactive_file 1048576\n",
        "cpu.stat": "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\nnr_periods 120\nnr_throttled 45\nthrottled_usec 987654\n",
        "cpu.max": "50000 100000\n", "pids.current": "9\n", "pids.max": "64\n", "pids.events": "max 5\n",
    ]

    private static func withTree(
        _ files: [String: String], _ hierarchies: [(name: String, kind: CgroupTree.Hierarchy.Kind)], _ body: (CgroupTree, String) throws -> Void
    ) throws {
        let root = "/tmp/berth-usage-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let isVersion2 = hierarchies.count == 1
        for (path, text) in files {
            let parts = path.split(separator: "/").map(String.init)
            let directory = isVersion2 ? "\(root)/machine" : "\(root)/\(parts[0])/machine"
            try Files.makeDirectories(directory, mode: 0o755)
            try Files.write(directory + "/" + (parts.last ?? ""), Array(text.utf8))
        }
        let tree = CgroupTree(
            hierarchies: hierarchies.map { .init(name: $0.name, root: isVersion2 ? root : "\(root)/\($0.name)", kind: $0.kind) })
        try body(tree, root)
    }

    private static let controllers = ["memory", "cpu", "cpuacct", "pids"].map { (name: $0, kind: CgroupTree.Hierarchy.Kind.v1) }

    private static func expectAll(_ now: MachineStatistics?) throws {
        let now = try #require(now)
        #expect(now.memoryBytes == 50_331_648 && now.memoryLimitBytes == 268_435_456 && now.memoryPeakBytes == 61_341_696)
        #expect(now.workingSetBytes == 50_331_648 - 8_388_608 && now.residentBytes == 38_797_312)
        #expect(now.memoryLimitHits == 7 && now.oomKills == 2)
        #expect(now.pids == 9 && now.pidLimit == 64 && now.pidLimitHits == 5)
        #expect(now.cpuMicroseconds == 1_234_567 && now.cpuLimit == 0.5)
        #expect(now.cpuPeriods == 120 && now.throttledPeriods == 45 && now.throttledMicroseconds == 987_654)
    }

    @Test("version 1: every number from its controller's files")
    func version1() throws {
        try Self.withTree(Self.version1, Self.controllers) { tree, _ in try Self.expectAll(tree.statistics("/machine")) }
    }

    @Test("hybrid: the same, whatever stands in the place of version 2", arguments: [CgroupTree.Hierarchy.Kind.plain, .v2])
    func hybrid(_ unified: CgroupTree.Hierarchy.Kind) throws {
        try Self.withTree(Self.version1, [(name: "unified", kind: unified)] + Self.controllers) { tree, _ in
            try Self.expectAll(tree.statistics("/machine"))
        }
    }

    @Test("version 2: the same numbers from the one hierarchy")
    func version2() throws {
        try Self.withTree(Self.version2, [(name: "", kind: .v2)]) { tree, _ in try Self.expectAll(tree.statistics("/machine")) }
    }

    @Test("no limit is told as none, and what a kernel does not have is left out")
    func unlimited() throws {
        var files = Self.version2
        files["memory.max"] = "max\n"
        files["pids.max"] = "max\n"
        files["cpu.max"] = "max 100000\n"
        files["memory.peak"] = nil
        try Self.withTree(files, [(name: "", kind: .v2)]) { tree, _ in
            let now = try #require(tree.statistics("/machine"))
            #expect(now.memoryLimitBytes == nil && now.pidLimit == nil && now.cpuLimit == nil && now.memoryPeakBytes == nil)
            #expect(tree.statistics("/other") == nil)
        }
        files = Self.version1
        files["memory/memory.limit_in_bytes"] = "9223372036854771712\n"
        files["cpu/cpu.cfs_quota_us"] = "-1\n"
        try Self.withTree(files, Self.controllers) { tree, _ in
            let now = try #require(tree.statistics("/machine"))
            #expect(now.memoryLimitBytes == nil && now.cpuLimit == nil)
        }
    }
}

/// The same of real machines, on whatever this host has.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct OCIUsageTests {
    @Test("processor, memory, processes, descriptors and folders of a machine are told, and what it ran into")
    func everything() async throws {
        try await withOCIHost { host in
            var spec = host.spec(
                """
                b dd if=/dev/zero of=/tmp/file bs=1048576 count=3 2>/dev/null
                b dd if=/dev/zero of=/dev/shm/file bs=1048576 count=1 2>/dev/null
                (while :; do :; done) &
                (for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do b sleep 600 & done) 2>/dev/null
                echo up
                exec /bin/busybox sleep 600 7</dev/null 8</dev/null
                """)
            spec.limits.cpus = 0.2
            spec.limits.pids = 16
            let (machine, boot) = (spec.machine, spec.boot)
            _ = try await host.runtime.create(spec)
            try await host.runtime.start(machine, boot: boot)
            let now = try await eventually("a machine that is held back") { () -> MachineStatistics? in
                guard let now = await host.runtime.statistics(machine, boot: boot) else { return nil }
                return now.throttledPeriods > 1 && now.pidLimitHits > 0 && now.shm?.used ?? 0 > 0 ? now : nil
            }
            #expect(now.cpuLimit == 0.2 && now.cpuMicroseconds > 0 && now.throttledMicroseconds > 0)
            #expect(now.throttledPeriods <= now.cpuPeriods)
            #expect(now.memoryLimitBytes == 64 << 20)
            #expect(now.memoryBytes >= 4 << 20 && now.workingSetBytes <= now.memoryBytes && now.residentBytes < now.memoryBytes)
            #expect(now.memoryPeakBytes ?? 0 >= now.memoryBytes || now.memoryPeakBytes == nil)
            #expect(now.pids <= 16 && now.pidLimit == 16)
            #expect(now.tmp?.used ?? 0 >= 3 << 20 && now.tmp?.limit == 64 << 20)
            #expect(now.shm?.used ?? 0 >= 1 << 20 && now.shm?.limit == 16 << 20)
            #expect(now.descriptors > now.mostDescriptors && now.mostDescriptors >= 3 && now.descriptorLimit == 4096)
            #expect(now.oomKills == 0)
            _ = try await eventually("its log") { host.runtime.logBytes(machine) > 0 ? true : nil }
            try await host.runtime.remove(machine, boot: boot)
            #expect(await host.runtime.statistics(machine, boot: boot) == nil)
        }
    }

    @Test("a process that is ended for want of memory is told at once, while its machine lives on")
    func memoryKill() async throws {
        try await withOCIHost { host in
            let spec = host.spec("b cat <&5; b tail /dev/zero; b cat /proc/self/fd/5; echo 1 >/proc/self/fd/5; echo alive; exec /bin/busybox sleep 600")
            let kills = Collected<MemoryKill>()
            let reader = Task { [stream = host.runtime.memoryKills] in for await kill in stream { kills.append(kill) } }
            defer { reader.cancel() }
            _ = try await host.runtime.create(spec)
            let lines = Collected<String>()
            host.runtime.log.observe(spec.machine, boot: spec.boot) { lines.append($0) }
            try await host.runtime.start(spec.machine, boot: spec.boot)
            let kill = try await eventually("news of the kill") { kills.values.first }
            #expect(kill == MemoryKill(machine: spec.machine, boot: spec.boot, count: 1))
            _ = try await eventually("its last word") { lines.values.contains("alive") ? true : nil }
            // The machine reads what the kernel counted, and cannot change anything by it.
            #expect(lines.values.contains("oom_kill 0") && lines.values.contains("oom_kill 1"), "\(lines.values)")
            #expect(lines.values.contains { $0.contains("fd/5") && $0.contains("ermission denied") }, "\(lines.values)")
            let used = try #require(await host.runtime.statistics(spec.machine, boot: spec.boot))
            #expect(used.oomKills == 1 && used.memoryLimitHits > 0)
            // What was killed before is not why it ends now.
            try await host.runtime.kill(spec.machine, boot: spec.boot)
            _ = try await host.exit(of: spec.boot)
            #expect(kills.values.count == 1)
        }
    }
}
