import Foundation
import MachineAPI
import Synchronization
import Testing

@testable import Orchestrator

/// Who may start, apart from what starts: shares of a budget, and what the host has left.
struct MemoryBudgetTests {
    private static let mib = 1 << 20

    private func budget(_ setting: MemoryBudgetSetting, total: Int = 4_096, available: Int = 4_096) -> MemoryBudget {
        MemoryBudget(setting) { HostMemory(total: total << 20, available: available << 20) }
    }

    private func refusal(_ budget: MemoryBudget, _ owner: String, _ mebibytes: Int) -> MachineFailure? {
        do {
            try budget.take(owner, bytes: mebibytes << 20)
            return nil
        } catch {
            return error
        }
    }

    @Test("the sum of limits stays within the budget, and a refusal says why and when to ask again")
    func sum() throws {
        let budget = budget(.percent(80), total: 1_000)
        #expect(refusal(budget, "a", 256) == nil && refusal(budget, "b", 256) == nil)
        // Nothing more for one that has its share, and the difference for one that grows.
        #expect(refusal(budget, "a", 256) == nil && refusal(budget, "b", 512) == nil)
        let failure = try #require(refusal(budget, "c", 64))
        #expect(failure.status == .unavailable && failure.code == "insufficient_capacity" && failure.details["reason"] == "memory_budget")
        #expect(failure.retryAfterSeconds == 5 && failure.message.contains("768 of 800 MiB are promised to 2 machines"), "\(failure)")
        #expect(failure.hint?.contains("--memory-budget") == true)
        #expect(refusal(budget, "a", 300) != nil)
        #expect(budget.report.promised == 768 << 20 && budget.report.headroom == 32 << 20)
        budget.release("b")
        budget.release("never there")
        #expect(refusal(budget, "c", 64) == nil)
        #expect(budget.report.machines == 2 && budget.report.promised == 320 << 20)
    }

    @Test("what runs already keeps what it has, whatever the budget is now, and counts")
    func held() {
        let budget = budget(.mebibytes(300))
        budget.hold("a", bytes: 500 << 20)
        #expect(budget.report.headroom == 0 && refusal(budget, "b", 64)?.details["reason"] == "memory_budget")
        #expect(refusal(budget, "a", 500) == nil)
        budget.release("a")
        #expect(refusal(budget, "b", 64) == nil)
    }

    @Test("512 MiB stay available on the host; machines that are starting count with all that they may take")
    func available() {
        let available = Mutex(2_000)
        let budget = MemoryBudget(.percent(100)) { HostMemory(total: 10_000 << 20, available: available.withLock { $0 } << 20) }
        #expect(refusal(budget, "a", 700) == nil)
        // It has taken nothing yet, and may.
        let failure = refusal(budget, "b", 800)
        #expect(failure?.details["reason"] == "host_memory" && failure?.message.contains("gives 700 MiB of them") == true, "\(String(describing: failure))")
        #expect(refusal(budget, "b", 788) == nil)
        budget.settle("a")
        budget.settle("b")
        available.withLock { $0 = 1_200 }
        #expect(refusal(budget, "c", 689) != nil && refusal(budget, "c", 688) == nil)
    }

    @Test("of many starts at once as many succeed as there is room for")
    func race() async {
        for _ in 0..<20 {
            let budget = budget(.mebibytes(640))
            let taken = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<64 { group.addTask { refusal(budget, "m\(number)", 64) == nil } }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(taken == 10 && budget.report.promised == 640 << 20)
        }
    }

    @Test("the setting is a part of the host's memory or an amount, and nothing else", arguments: [
        ("80%", MemoryBudgetSetting.percent(80)), ("100%", .percent(100)), ("1%", .percent(1)), ("4096", .mebibytes(4_096)), ("64", .mebibytes(64)),
        ("0%", nil), ("101%", nil), ("63", nil), ("-5", nil), ("", nil), ("%", nil), ("80 %", nil), ("1e3", nil), ("2G", nil),
    ] as [(String, MemoryBudgetSetting?)])
    func setting(_ text: String, _ setting: MemoryBudgetSetting?) {
        #expect(MemoryBudgetSetting(text) == setting)
        if let setting { #expect(MemoryBudgetSetting(setting.description) == setting) }
    }
}

/// What there is of memory, out of files as kernels write them: the host's, or that of the smallest group around us.
struct HostMemoryTests {
    private static let meminfo = "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    8388608 kB\nSwapTotal:             0 kB\n"

    /// - Parameter files: below a folder that has `proc` and, for the hierarchy, `cg`.
    private func memory(_ files: [String: String], isVersion2: Bool) throws -> HostMemory {
        let root = "/tmp/berth-memory-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        defer { try? FileManager.default.removeItem(atPath: root) }
        for (path, text) in files.merging(["proc/meminfo": Self.meminfo], uniquingKeysWith: { own, _ in own }) {
            let file = root + "/" + path
            try Files.makeDirectories((file as NSString).deletingLastPathComponent, mode: 0o755)
            try Files.write(file, Array(text.utf8))
        }
        let tree = CgroupTree(hierarchies: [.init(name: isVersion2 ? "" : "memory", root: root + "/cg", kind: isVersion2 ? .v2 : .v1)])
        return HostMemory(proc: root + "/proc", tree: tree)
    }

    @Test("a host without a limit: what the kernel says", arguments: [true, false])
    func host(_ isVersion2: Bool) throws {
        // Version 1 has a number at its root that means none.
        let files = isVersion2 ? [:] : ["cg/memory.limit_in_bytes": "9223372036854771712\n", "cg/memory.usage_in_bytes": "5\n"]
        #expect(try memory(files, isVersion2: isVersion2) == HostMemory(total: 16 << 30, available: 8 << 30))
    }

    @Test("in a container whose limit is at the root that it sees")
    func container() throws {
        let files = [
            "cg/memory.limit_in_bytes": "\(4 << 30)\n", "cg/memory.usage_in_bytes": "\(3 << 30)\n",
            "cg/memory.stat": "total_inactive_file \(1 << 30)\n", "proc/self/cgroup": "4:memory:/\n",
        ]
        #expect(try memory(files, isVersion2: false) == HostMemory(total: 4 << 30, available: 2 << 30))
    }

    @Test("below a group with a limit, of version 2: the smallest one counts, and what it has left")
    func nested() throws {
        let files = [
            "proc/self/cgroup": "0::/berth.slice/berth.service\n",
            "cg/berth.slice/memory.max": "\(6 << 30)\n", "cg/berth.slice/memory.current": "\(1 << 30)\n",
            "cg/berth.slice/memory.stat": "anon 1\ninactive_file 0\n",
            "cg/berth.slice/berth.service/memory.max": "max\n", "cg/berth.slice/berth.service/memory.current": "7\n",
        ]
        #expect(try memory(files, isVersion2: true) == HostMemory(total: 6 << 30, available: 5 << 30))
    }

    @Test("this host has some")
    func here() {
        let now = HostMemory.now()
        #expect(now.total > 256 << 20 && now.available > 0 && now.available <= now.total)
    }
}
