import Foundation
import Glibc
import MachineAPI
import Testing

@testable import Orchestrator

/// Suspending real machines: the cgroup says who stands still.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct SuspendRealTests {
    private func isFrozen(_ host: RealHost, _ boot: BootRecord) async throws -> Bool {
        try await host.runtime.isFrozen(boot.machine, boot: boot.boot)
    }

    private func mode(_ boot: BootRecord) throws -> mode_t {
        let door = try #require(boot.door)
        return try #require(Files.status(door)).st_mode & 0o7777
    }

    private func suspended(_ host: RealHost) async throws -> BootRecord {
        let machine = try await host.create("m")
        let boot = try #require(await host.state(machine.id, .started).boot)
        try await host.reconciler.send(.suspend(source: "user"), to: machine.id)
        #expect(try await host.state(machine.id, .suspended).boot == boot)
        #expect(try await isFrozen(host, boot))
        #expect(try mode(boot) == DoorLatch.closed)
        return boot
    }

    @Test("a suspended machine stands still behind a closed door, and the same boot runs on; twice")
    func suspendAndWake() async throws {
        try await withRealHost { host in
            let boot = try await suspended(host)
            #expect(try await host.leftovers() == [])
            for _ in 0..<2 {
                try await host.reconciler.send(.start(source: "user"), to: boot.machine)
                #expect(try await host.state(boot.machine, .started).boot == boot)
                #expect(try await !isFrozen(host, boot))
                #expect(try mode(boot) == DoorLatch.open)
                try await host.reconciler.send(.suspend(source: "user"), to: boot.machine)
                _ = try await host.state(boot.machine, .suspended)
            }
            if !CgroupTree.hostHasSwap { #expect(try await host.store.machine(boot.machine)?.reason?.contains("no swap") == true) }
        }
    }

    @Test("a stop of what stands still wakes it to end in order")
    func stop() async throws {
        try await withRealHost { host in
            let boot = try await suspended(host)
            try await host.reconciler.send(.stop(source: "user"), to: boot.machine)
            _ = try await host.state(boot.machine, .stopped)
            #expect(host.runtime.log.tail(boot.machine, lines: 5).contains("told to end"))
            #expect(try await host.runtime.survey().isEmpty)
        }
    }

    @Test("a destroy of what stands still leaves nothing")
    func destroy() async throws {
        try await withRealHost { host in
            let boot = try await suspended(host)
            try await host.reconciler.destroy(boot.machine)
            #expect(try await host.runtime.survey().isEmpty)
            #expect(try await host.leftovers() == [])
        }
    }

    @Test("one that is killed while it stands still is stopped, not started")
    func killed() async throws {
        try await withRealHost { host in
            let boot = try await suspended(host)
            try await host.runtime.kill(boot.machine, boot: boot.boot)
            _ = try await host.state(boot.machine, .stopped)
            #expect(try await host.runtime.survey().isEmpty)
        }
    }

    @Test("the next orchestrator adopts it as it stands, and wakes it or ends it")
    func adoption() async throws {
        let first = try RealHost()
        try await first.reconciler.begin()
        let boot = try await suspended(first)
        try await first.leave()
        let second = try RealHost(directory: first.directory)
        do {
            try await second.reconciler.begin()
            #expect(try await second.state(boot.machine, .suspended).boot == boot)
            #expect(try await isFrozen(second, boot))
            try await second.reconciler.send(.start(source: "user"), to: boot.machine)
            #expect(try await second.state(boot.machine, .started).boot == boot)
            #expect(try await !isFrozen(second, boot))
        } catch {
            try? await second.close()
            throw error
        }
        try await second.close()
    }
}

/// What is told of a real machine's processes, and what reaches them.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct MachineProcessTests {
    @Test("processes by the machine's own numbers; a SIGTERM ends it in order, and it stays stopped")
    func processesAndSignals() async throws {
        try await withRealHost { host in
            let machine = try await host.create("m")
            let boot = try #require(await host.state(machine.id, .started).boot)
            _ = try await eventually("output") { host.runtime.log.tail(machine.id, lines: 5).contains("up") ? true : nil }
            let first = try #require(try await host.runtime.processes(machine.id, boot: boot.boot).first { $0.pid == 1 })
            #expect(first.command.contains("/opt/berth/berth-agent") && first.directory == "/" && first.rss > 0, "\(first)")
            let row = try #require(await host.store.machine(machine.id))
            try await host.service.signal(row, SIGTERM)
            _ = try await host.state(machine.id, .stopped)
            #expect(host.runtime.log.tail(machine.id, lines: 5).contains("told to end"))
        }
    }
}
