import Door
import Testing

@testable import Orchestrator

struct ChildBoundsTests {
    @Test(
        "a machine has as many children as its tasks hold",
        arguments: [(16, 1), (40, 2), (48, 3), (64, 5), (128, 13), (512, 61)])
    func children(pids: Int, children: Int) {
        let limits = BootDocument.ChildLimits(within: MachineLimits(pids: pids))
        #expect(limits.maximumChildren == children)
        // A child may be busy, but not take the agent's tasks.
        #expect(limits.processes <= max(16, pids - 24))
    }

    @Test(
        "a spare needs room in memory and among the children",
        arguments: [(256, 64, true), (128, 64, true), (127, 64, false), (256, 40, true), (256, 39, false), (1_024, 16, false)])
    func spare(megabytes: Int, pids: Int, isKept: Bool) {
        let limits = BootDocument.ChildLimits(within: MachineLimits(memoryBytes: megabytes << 20, pids: pids))
        #expect(limits.spareBelowBytes == (isKept ? (megabytes << 20) / 4 * 3 : 0))
    }

    @Test("a job's folder is looked at before it can have grown past its limit, and not for ever")
    func looks() {
        #expect(DiskUse.nextLook(at: 0, limit: 16 << 30) == .seconds(2))
        #expect(DiskUse.nextLook(at: 0, limit: 2 << 30) == .milliseconds(1_024))
        #expect(DiskUse.nextLook(at: 2 << 30, limit: 2 << 30) == .milliseconds(200))
        #expect(DiskUse.nextLook(at: .max, limit: 1) == .milliseconds(200))
    }
}
