import Glibc
import Synchronization
import TestSupport
import Testing

@testable import StdioBridge

/// Whose end was for want of memory: told by the kernel's count, and by nothing that a process can do to itself.
struct MemoryKillTests {
    /// A file in the place of the control group's.
    private final class Count: Sendable {
        let path = "/tmp/berth-kills-\(UInt64.random(in: 0...UInt64.max))"
        let descriptor: Int32

        init() {
            descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            set("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
        }

        func set(_ text: String) { _ = text.withCString { pwrite(descriptor, $0, strlen($0), 0) } }

        deinit {
            close(descriptor)
            unlink(path)
        }
    }

    @Test func eachKillIsToldOfOneProcess() {
        let count = Count()
        let kills = MemoryKills(descriptor: count.descriptor)
        #expect(!kills.claim())
        count.set("oom_kill_disable 0\nunder_oom 0\noom_kill 6\n")
        #expect(kills.claim() && kills.claim() && !kills.claim())
    }

    @Test func aFileThatTellsNothingClaimsNothing() {
        let count = Count()
        count.set("low 0\nhigh 0\nmax 9999999999\n            \n")
        #expect(!MemoryKills(descriptor: count.descriptor).claim())
        #expect(!MemoryKills(descriptor: -1).claim())
    }

    @Test func onlyAProcessThatSomebodyElseKilledWhileTheCountRoseRanOutOfMemory() async throws {
        let count = Count()
        let reaper = try Reaper(.init(memoryKills: MemoryKills(descriptor: count.descriptor)))
        func end(_ script: String, killedByUs: Bool = false, rises: Int? = nil) async -> StdioBridge.ExitStatus {
            if let rises { count.set("oom_kill_disable 0\nunder_oom 0\noom_kill \(rises)\n") }
            return await withCheckedContinuation { continuation in
                let plan = SpawnPlan(path: "/bin/sh", arguments: ["sh", "-c", script], streams: .output(SpawnPlan.nowhere))
                reaper.spawn(plan) { result in
                    if killedByUs, case .success(let process) = result { reaper.signal(process.pid, SIGKILL) }
                } exited: { continuation.resume(returning: $0) }
            }
        }
        #expect(await end("kill -9 $$") == .signal(SIGKILL))
        #expect(await end("exit 3", rises: 5) == .code(3))
        #expect(await end("sleep 600", killedByUs: true) == .signal(SIGKILL))
        #expect(await end("kill -15 $$") == .signal(SIGTERM))
        #expect(await end("kill -9 $$") == .outOfMemory)
        #expect(await end("kill -9 $$") == .signal(SIGKILL))
        #expect(StdioBridge.ExitStatus.outOfMemory.description.contains("oom_killed") && StdioBridge.ExitStatus.outOfMemory.description.contains("--memory"))
        reaper.stop()
    }
}
