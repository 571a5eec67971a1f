import Door
import Glibc
import MachineAPI
import Sealing
import Synchronization
import Testing

@testable import Orchestrator

/// What the reconciler does around a runtime; the runtime itself is tried in `ReconcilerRealTests`.
struct ReconcilerTests {
    private func created(_ host: FakeHost, _ name: String = "m", config: MachineConfig = FakeHost.config) async throws -> MachineRecord {
        let wanted = #"{"name":"a","org_slug":"acme","berth":{"app_root":"\#(Self.root)"}}"#
        _ = try await host.orchestrator.createApp(try CreateAppRequest(Array(wanted.utf8)))
        let app = try #require(await host.store.app("a"))
        let request = try CreateMachineRequest(Array(try JSONCoding.encode(NewMachine(name: name, config: config))))
        return try await host.orchestrator.create(request, in: app)
    }

    private struct NewMachine: Encodable {
        var name: String
        var config: MachineConfig
    }

    private static let root = Base64URL.encode([UInt8](repeating: 7, count: 32))

    private func state(_ host: FakeHost, _ id: String, _ state: MachineState) async throws -> MachineRecord {
        try await eventually("\(state)") { try await host.store.machine(id).flatMap { $0.state == state ? $0 : nil } }
    }

    @Test("a boot has its row before it is made, keys of its own, and a share of the processor when it is ready")
    func boot() async throws {
        try await withFakeHost { host, _ in
            let machine = try await created(host)
            let started = try await state(host, machine.id, .started)
            let boot = try #require(started.boot)
            let spec = try #require(host.runtime.state.withLock { $0.specs.first })
            #expect(spec.boot == boot.boot && spec.slot == 100 + boot.slot && spec.doorPath == boot.door)
            let document = try BootDocument(decoding: spec.bootDocument)
            #expect(document.command == ["/server", "x"] && document.environment == ["A": "1", "B": "2"])
            #expect(document.org == "acme" && document.app == "a")
            let keys = try DoorKeys(root: try AppRoot(secret: Secret([UInt8](repeating: 7, count: 32))), machine: machine.id, boot: boot.boot)
            #expect(document.keys.sign == keys.sign && document.kid == keys.kid)
            #expect(spec.limits.cpus == 1)
            _ = try await eventually("processor share") { host.runtime.state.withLock { $0.cpus.isEmpty ? nil : $0.cpus } }
            #expect(host.runtime.state.withLock { $0.cpus } == [0.5])
        }
    }

    @Test("a start that is over says how long its steps took; one that only woke took none")
    func stages() async throws {
        try await withFakeHost { host, _ in
            let machine = try await created(host)
            _ = try await state(host, machine.id, .started)
            let stages = try #require(try await host.store.lastStart(of: machine.id))
            let parts = stages.row_ms + stages.root_ms + stages.create_ms + stages.start_ms + (stages.agent_ms ?? 0) + stages.server_ms
            #expect(abs(parts - stages.total_ms) < 1, "\(stages)")
            let events = try await host.store.events(of: machine.id, limit: 10)
            #expect(events.filter { $0.request?.start_event != nil }.map { "\($0.type)/\($0.status)" } == ["start/started"])
            try await host.reconciler.send(.suspend(source: "user"), to: machine.id)
            _ = try await state(host, machine.id, .suspended)
            try await host.reconciler.send(.start(source: "user"), to: machine.id)
            _ = try await state(host, machine.id, .started)
            #expect(try await host.store.lastStart(of: machine.id) == stages)
        }
    }

    @Test("a process that is ended for want of memory becomes an event of its machine, which lives on")
    func memoryKill() async throws {
        try await withFakeHost { host, _ in
            let machine = try await created(host)
            let boot = try #require(await state(host, machine.id, .started).boot)
            host.runtime.killed.yield(MemoryKill(machine: machine.id, boot: "another", count: 9))
            host.runtime.killed.yield(MemoryKill(machine: machine.id, boot: boot.boot, count: 1))
            let event = try await eventually("the event") { try await host.store.events(of: machine.id, limit: 1).first { $0.type == "oom" } }
            #expect(event.status == "started" && event.source == "kernel")
            #expect(event.reason?.hasPrefix("oom_killed: the kernel ended a process") == true && event.reason?.contains("--memory") == true)
            #expect(try await host.store.events(of: machine.id, limit: 50).filter { $0.type == "oom" }.count == 1)
        }
    }

    @Test("a shutdown waits for all that its machines have under way")
    func shutdown() async throws {
        let host = try FakeHost()
        host.runtime.state.withLock { $0.holdsUpdates = true }
        try await host.open()
        _ = try await created(host)
        _ = try await eventually("an update under way") { host.runtime.state.withLock { $0.updates == 1 ? true : nil } }
        let isOver = Mutex(false)
        async let end: Void = {
            await host.reconciler.shutdown()
            isOver.withLock { $0 = true }
        }()
        _ = try await eventually("the shutdown") { await host.reconciler.isGoingDown ? true : nil }
        await #expect(throws: TimedOut.self) {
            try await eventually("an early end", within: .milliseconds(200)) { isOver.withLock { $0 ? true : nil } }
        }
        host.runtime.state.withLock { $0.holdsUpdates = false }
        await end
        #expect(host.runtime.state.withLock { $0.cpus } == [0.5])
        try await host.close()
    }

    @Test("of many that start at once one after the other is made; who waits is gone at once when told, and no time runs against it")
    func startsQueue() async throws {
        let host = try FakeHost(starts: StartQueue(width: 2, hold: .seconds(600)))
        host.door.answer.withLock { $0 = .silence("") }
        try await host.open()
        var machines: [MachineRecord] = []
        for name in ["a", "b", "c", "d", "e"] { machines.append(try await created(host, name)) }
        _ = try await eventually("two made") { host.runtime.state.withLock { $0.specs.count == 2 ? true : nil } }
        #expect(try await host.store.machine(machines[4].id)?.state == .starting)
        try await host.reconciler.destroy(machines[2].id)
        try await host.reconciler.send(.stop(source: "user"), to: machines[3].id)
        #expect(try await host.store.machine(machines[3].id)?.state == .stopped)
        #expect(host.budget.report.machines == 3, "who gave up holds no memory")
        #expect(host.runtime.state.withLock { Set($0.specs.map(\.machine)) } == [machines[0].id, machines[1].id])
        host.door.answer.withLock { $0 = .yes }
        for index in [0, 1, 4] { _ = try await state(host, machines[index].id, .started) }
        #expect(host.runtime.state.withLock { $0.specs.count } == 3)
        try await host.close()
    }

    @Test("an end by itself is followed by another boot, with another boot id")
    func restart() async throws {
        try await withFakeHost { host, _ in
            let machine = try await created(host)
            let first = try #require(await state(host, machine.id, .started).boot)
            host.runtime.end(machine.id, first.boot, code: 1)
            let second = try await eventually("another boot") {
                try await host.store.machine(machine.id).flatMap { $0.state == .started && $0.boot?.boot != first.boot ? $0.boot : nil }
            }
            #expect(second.boot != first.boot)
            #expect(host.runtime.state.withLock { $0.removed } == [first.name])
            let exit = try await host.store.events(of: machine.id, limit: 50).first { $0.type == "exit" }?.request?.exit_event
            #expect(exit?.exit_code == 1 && exit?.signal == nil && exit?.requested_stop == false && exit?.oom_killed == false)
            let events = try await host.store.events(of: machine.id, limit: 50).map { "\($0.type)/\($0.status)" }
            #expect(Array(events.reversed()) == [
                "launch/created", "start/starting", "start/started", "exit/stopped", "restart/starting", "start/starting", "start/started",
            ])
        }
    }

    @Test("news of an earlier boot does not touch the present one")
    func staleNews() async throws {
        try await withFakeHost { host, _ in
            let machine = try await created(host)
            let first = try #require(await state(host, machine.id, .started).boot)
            try await host.reconciler.send(.restart(source: "user"), to: machine.id)
            _ = try await eventually("another boot") {
                try await host.store.machine(machine.id).flatMap { $0.state == .started && $0.boot?.boot != first.boot ? $0 : nil }
            }
            host.runtime.end(machine.id, first.boot, code: 1)
            try await host.reconciler.send(.start(source: "user"), to: machine.id)
            #expect(try await host.store.machine(machine.id)?.state == .started)
        }
    }

    @Test("who no longer waits is forgotten")
    func listeners() async throws {
        try await withFakeHost { host, client in
            let machine = try await created(host)
            _ = try await client.wait(app: "a", id: machine.id, for: .started, seconds: 60)
            _ = try await client.wait(app: "a", id: machine.id, for: .started, seconds: 60)
            try await host.reconciler.destroy(machine.id)
            _ = try await eventually("nobody listening") { host.reconciler.host.hub.listenerCount == 0 ? true : nil }
        }
    }

    @Test("a launch whose orchestrator died before it began is begun by the next")
    func cutOffLaunch() async throws {
        let first = try FakeHost()
        try await first.open()
        _ = try await created(first, "other")
        let now = MachineRecord(
            id: MachineID.random(), app: "a", name: "cut", instance: ULID().description, config: FakeHost.config, state: .created,
            desired: .running, createdAt: 1, updatedAt: 1)
        #expect(try await first.store.insert(now, event: .init(type: "launch", status: "created", source: "user", reason: nil, at: 1)))
        try await first.leave()
        let second = try FakeHost(directory: first.directory)
        try await second.open()
        _ = try await state(second, now.id, .started)
        try await second.close()
    }

    @Test("a runtime that cannot create fails the machine with its reason")
    func createFails() async throws {
        try await withFakeHost { host, _ in
            host.runtime.state.withLock { $0.createError = OCIError(.runtimeFailed, "no room for this") }
            let machine = try await created(host)
            let failed = try await state(host, machine.id, .failed)
            #expect(failed.reason?.contains("no room for this") == true)
            #expect(failed.boot == nil)
            #expect(try await host.store.boots().isEmpty)
        }
    }

    @Test("a server that does not come up is given up after three answers in each of two boots")
    func neverReady() async throws {
        try await withFakeHost { host, _ in
            host.door.answer.withLock { $0 = .no("ImportError: no module named x") }
            let machine = try await created(host)
            let failed = try await state(host, machine.id, .failed)
            #expect(failed.reason?.contains("ImportError") == true)
            #expect(host.door.asked.withLock { $0.count } == 6)
        }
    }

    @Test("a connector that needs credentials is ready when its agent answers")
    func shallowReadiness() async throws {
        try await withFakeHost { host, _ in
            var config = FakeHost.config
            config.metadata = ["berth_ready": "agent"]
            let machine = try await created(host, config: config)
            _ = try await state(host, machine.id, .started)
            #expect(host.door.asked.withLock { $0 } == [false])
        }
    }

    @Test("destroy returns when nothing is left, also when removal needs several tries")
    func destroy() async throws {
        try await withFakeHost { host, _ in
            let machine = try await created(host)
            _ = try await state(host, machine.id, .started)
            host.runtime.state.withLock { $0.removeFailures = 1 }
            try await host.reconciler.destroy(machine.id)
            #expect(host.runtime.state.withLock { $0.running.isEmpty })
            #expect(try await host.store.boots().isEmpty)
            #expect(try await host.store.machine(machine.id)?.state == .destroyed)
            await #expect(throws: MachineFailure.self) { try await host.reconciler.send(.start(source: "user"), to: machine.id) }
        }
    }

    @Test("a successor adopts what runs, boots what is gone, ends what is unwanted, removes what no row owns")
    func successor() async throws {
        let first = try FakeHost()
        try await first.open()
        let kept = try await created(first, "kept")
        let lost = try await created(first, "lost")
        let stopped = try await created(first, "stopped")
        for machine in [kept, lost, stopped] { _ = try await state(first, machine.id, .started) }
        let boots = try await (kept: first.store.machine(kept.id)?.boot, lost: first.store.machine(lost.id)?.boot)
        try await first.leave()

        // While nobody looks: one dies, one was to be stopped, and something strange is there, with a job's row beside it.
        let runtime = FakeRuntime()
        runtime.state.withLock { state in
            state.running = first.runtime.state.withLock { $0.running }
            state.running[boots.lost?.name ?? ""] = nil
            state.running["00000000000000-STRAY"] = true
            state.running["11111111111111-JOB"] = true
        }
        let second = try FakeHost(directory: first.directory, runtime: runtime)
        _ = try await second.store.beginBoot(machine: "11111111111111", boot: "JOB", kind: .job, door: nil, at: 1)
        var row = try #require(await second.store.machine(stopped.id))
        row.desired = .stopped
        row.state = .stopping
        try await second.store.save(row, events: [])
        try await second.open()

        #expect(try await state(second, kept.id, .started).boot == boots.kept)
        _ = try await state(second, stopped.id, .stopped)
        let reborn = try await state(second, lost.id, .started)
        #expect(reborn.boot != nil && reborn.boot != boots.lost)
        #expect(runtime.state.withLock { Set($0.removed).isSuperset(of: ["00000000000000-STRAY", "11111111111111-JOB"]) })
        #expect(Set(try await second.store.boots().map(\.machine)) == [kept.id, lost.id])
        try await second.close()
    }

    @Test("stop-all stops, takes no more, and the next orchestrator starts the same machines")
    func stopAll() async throws {
        let first = try FakeHost()
        try await first.open()
        let machine = try await created(first, "m")
        _ = try await state(first, machine.id, .started)
        #expect(await first.reconciler.stopAll() == 1)
        let row = try #require(await first.store.machine(machine.id))
        #expect(row.state == .stopped && row.desired == .running && row.boot == nil)
        await #expect(throws: MachineFailure.goingDown) { _ = try await self.created(first, "n") }
        try await first.leave()
        let second = try FakeHost(directory: first.directory)
        try await second.open()
        _ = try await state(second, machine.id, .started)
        try await second.close()
    }
}
