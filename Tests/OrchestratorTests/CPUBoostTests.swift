import Glibc
import MachineAPI
import Synchronization
import Testing

@testable import Orchestrator

/// The processor time of real machines, as the kernel has it written.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct CPUBoostTests {
    private func share(_ host: RealHost, _ machine: MachineRecord) throws -> Double {
        let boot = try #require(machine.boot)
        let now = try #require(host.runtime.cgroups.statistics(host.configuration.cgroup(BootName(machine: machine.id, boot: boot.boot))))
        return try #require(now.cpuLimit)
    }

    @Test(
        "a machine may use a whole processor until its server is ready, and its share from then on; also after a restart",
        arguments: [("", 0.5), (#","berth":{"cpus":0.2}"#, 0.2)])
    func boost(_ more: String, _ share: Double) async throws {
        try await withRealHost { host in
            try await host.reconciler.begin()
            host.door.answer.withLock { $0 = .silence("not yet") }
            let machine = try await host.create("m", more: more)
            for _ in 0..<2 {
                _ = try await eventually("the agent is asked") { host.door.asked.withLock { $0.isEmpty ? nil : true } }
                let starting = try await eventually("a boot") { try await host.store.machine(machine.id).flatMap { $0.boot == nil ? nil : $0 } }
                #expect(try self.share(host, starting) == 1)
                host.door.answer.withLock { $0 = .yes }
                let ready = try await host.state(machine.id, .started)
                _ = try await eventually("its share") { try self.share(host, ready) == share ? true : nil }
                host.door.answer.withLock { $0 = .silence("not yet") }
                host.door.asked.withLock { $0 = [] }
                try await host.reconciler.send(.restart(source: "user"), to: machine.id)
            }
        }
    }

    @Test("more than the host has, and next to nothing, are refused by name", arguments: ["0.05", "1000", "-1"])
    func range(_ cpus: String) async throws {
        try await withFakeHost { host, client in
            let body = #"{"config":{"image":"\#(FakeImages.digest)","berth":{"cpus":\#(cpus)}}}"#
            #expect { _ = try CreateMachineRequest(Array(body.utf8)) } throws: { ($0 as? MachineFailure)?.field == "config.berth.cpus" }
        }
    }
}
