import Glibc
import Testing

@testable import Orchestrator

/// What freezing gives back: with swap what the machine has in memory, without it nothing, which is said.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct OCIReclaimTests {
    @Test("a frozen machine's memory goes to swap where there is swap, and is there again when it runs on")
    func reclaim() async throws {
        try await withOCIHost { host in
            let sum = "b md5sum /tmp/x"
            let spec = host.spec(
                "b dd if=/dev/urandom of=/tmp/x bs=1M count=12 2>/dev/null; trap '\(sum); exit 0' TERM; \(sum); while :; do b sleep 0.02; done")
            _ = try await host.runtime.create(spec)
            let lines = Collected<String>()
            host.runtime.log.observe(spec.machine, boot: spec.boot) { lines.append($0) }
            try await host.runtime.start(spec.machine, boot: spec.boot)
            let before = try await eventually("a file in memory") { lines.values.first { $0.contains("/tmp/x") } }
            func memory() async throws -> Int { try #require(await host.runtime.statistics(spec.machine, boot: spec.boot)).memoryBytes }
            let held = try await memory()
            #expect(held > 11 << 20)

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
            #expect(lines.values.count { $0 == before } == 2, "\(lines.values)")
        }
    }
}
