import Glibc
import Testing

@testable import Orchestrator

/// What freezing gives back: with swap what the machine has in memory, without it nothing, which is said.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct OCIReclaimTests {
    @Test("a frozen machine's memory goes to swap where there is swap; it runs on afterwards")
    func reclaim() async throws {
        try await withOCIHost { host in
            // A process that holds what it has read, and waits for more.
            let spec = host.spec(
                """
                (b head -c 12000000 /dev/urandom; b sleep 100) | b dd bs=13000000 count=1 iflag=fullblock of=/dev/null &
                trap 'echo on; exit 0' TERM
                while :; do b sleep 0.02; done
                """)
            _ = try await host.runtime.create(spec)
            let lines = Collected<String>()
            host.runtime.log.observe(spec.machine, boot: spec.boot) { lines.append($0) }
            try await host.runtime.start(spec.machine, boot: spec.boot)
            func memory() async throws -> Int { try #require(await host.runtime.statistics(spec.machine, boot: spec.boot)).memoryBytes }
            let held = try await eventually("memory that is held") {
                let bytes = try await memory()
                return bytes > 12_000_000 ? bytes : nil
            }

            let freed = try await host.runtime.freeze(spec.machine, boot: spec.boot)
            #expect(try await host.runtime.isFrozen(spec.machine, boot: spec.boot))
            if CgroupTree.hostHasSwap {
                let left = try await memory()
                #expect(try #require(freed) > 8 << 20 && left < held / 2, "\(held) \(left) \(freed ?? -1)")
            } else {
                #expect(freed == nil)
            }
            try await host.runtime.thaw(spec.machine, boot: spec.boot)
            #expect(try await !host.runtime.isFrozen(spec.machine, boot: spec.boot))
            try await host.runtime.signal(spec.machine, boot: spec.boot, SIGTERM)
            #expect(try await host.exit(of: spec.boot).code == 0)
            #expect(lines.values.contains("on"))
        }
    }
}
