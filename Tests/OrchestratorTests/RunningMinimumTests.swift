import MachineAPI
import Sealing
import Synchronization
import Testing

@testable import Orchestrator

/// Machines that stay started.
struct RunningMinimumTests {
    private let root = [UInt8](repeating: 3, count: 32)

    private func machine(_ id: String, _ state: MachineState, _ generation: String = "1", at time: Int64 = 0, cordoned: Bool = false) -> MachineRecord {
        var config = FakeHost.config
        config.metadata = ["berth_generation": generation]
        var record = MachineRecord(
            id: id, app: "web", name: id, instance: "i", config: config, state: state, desired: .stopped, createdAt: time, updatedAt: time)
        record.isCordoned = cordoned
        return record
    }

    @Test("as many are started as lack, the oldest first; what is leased, cordoned, fresh from failing or of an older generation is not")
    func whichAreStarted() {
        func started(_ machines: [MachineRecord], _ minimum: Int, leased: Set<String> = [], now: Int64 = 0) -> [String] {
            RunningMinimum.toStart(machines, minimum: minimum, leased: leased, now: now).map(\.id)
        }
        let all = [machine("a", .started), machine("b", .stopped, at: 1), machine("c", .suspended, at: 2), machine("d", .failed, at: 3)]
        #expect(started(all, 0) == [] && started(all, 1) == [])
        #expect(started(all, 2) == ["b"] && started(all, 3) == ["b", "c"])
        #expect(started(all, 4, now: 29_999) == ["b", "c"] && started(all, 4, now: 30_000) == ["b", "c", "d"])
        #expect(started(all, 3, leased: ["b"]) == ["c"])
        #expect(started([machine("a", .starting), machine("b", .stopped)], 1) == [])
        #expect(started([machine("a", .stopping), machine("b", .stopped)], 1) == ["b"])
        #expect(started([machine("a", .stopped, cordoned: true)], 1) == [])
        #expect(started([machine("a", .stopped, "1"), machine("b", .stopped, "2", at: 5)], 1) == ["b"])
    }

    private func idle(_ client: MachinesClient, _ names: [String]) async throws -> [String] {
        var config = FakeHost.config
        config.berth = .init(idle: .init(seconds: 1))
        var ids: [String] = []
        for name in names { ids.append(try await client.create(app: "web", name: name, config: config, skipLaunch: false).id) }
        return ids
    }

    private func states(_ host: FakeHost) async throws -> [MachineState: Int] {
        Dictionary(grouping: try await host.store.machines(app: "web"), by: \.state).mapValues(\.count)
    }

    @Test("of three that nobody calls, as many stay as are to run")
    func idleOnesStay() async throws {
        try await withFakeHost { host, client in
            try await client.createApp("web", org: "acme", appRoot: root)
            try await client.keep(app: "web", running: 2)
            host.door.used.withLock { $0 = MachineUse(idle: .seconds(100)) }
            _ = try await idle(client, ["a", "b", "c"])
            _ = try await eventually("one is stopped") { try await states(host) == [.started: 2, .stopped: 1] ? true : nil }
            // Each of the two goes on being asked about, and stays.
            try await Task.sleep(for: .seconds(3))
            #expect(try await states(host) == [.started: 2, .stopped: 1])
            try await client.keep(app: "web", running: 0)
            _ = try await eventually("all are") { try await states(host) == [.stopped: 3] ? true : nil }
        }
    }

    @Test("what was stopped is started again, also by the next orchestrator; the number outlives it, and not its app")
    func keepsRunning() async throws {
        let first = try FakeHost()
        try await first.open()
        let (endpoint, token) = try first.tcp()
        let client = MachinesClient(endpoint: endpoint, token: token)
        try await client.createApp("web", org: "acme", appRoot: root)
        let machine = try await client.create(app: "web", name: "m", config: FakeHost.config, skipLaunch: true)
        try await client.keep(app: "web", running: 1)
        let boot = try await eventually("started") { try await first.store.machine(machine.id).flatMap { $0.state == .started ? $0.boot : nil } }
        try await client.perform(.stop, app: "web", id: machine.id)
        _ = try await eventually("started again") {
            try await first.store.machine(machine.id).flatMap { $0.state == .started && $0.boot != boot ? true : nil }
        }
        await client.shutdown()
        try await first.leave()
        let second = try FakeHost(directory: first.directory, runtime: FakeRuntime())
        do {
            try await second.open()
            #expect(try await second.store.minimum(of: "web") == 1)
            _ = try await eventually("started") { try await second.store.machine(machine.id)?.state == .started ? true : nil }
            try await second.reconciler.delete(app: "web")
            #expect(try await second.store.setting(MachineStore.minimumName("web")) == nil)
        } catch {
            try? await second.close()
            throw error
        }
        try await second.close()
    }

    @Test("what is to run and has no room is told, with why; and is not when it runs")
    func shortages() async throws {
        let budget = MemoryBudget(.mebibytes(100)) { HostMemory(total: 8 << 30, available: 8 << 30) }
        try await withFakeHost(budget: budget) { (host, client) async throws in
            try await client.createApp("web", org: "acme", appRoot: root)
            // Of 64 MiB each: there is room for one.
            for name in ["a", "b"] { _ = try await client.create(app: "web", name: name, config: FakeHost.config, skipLaunch: true) }
            #expect(try await host.reconciler.host.minimum.shortages(host.store) == [])
            try await client.keep(app: "web", running: 2)
            let short = try await eventually("one that lacks, and why") {
                try await host.reconciler.host.minimum.shortages(host.store).first { $0.started == 1 && $0.reason != nil }
            }
            #expect(short.app == "web" && short.min == 2 && short.reason?.contains("memory") == true, "\(short)")
            try await client.keep(app: "web", running: 1)
            _ = try await eventually("enough") { try await host.reconciler.host.minimum.shortages(host.store).isEmpty ? true : nil }
        }
    }

    @Test("the number is 0 to 1024, of an app that is there")
    func api() async throws {
        try await withFakeHost { host, client in
            await #expect(throws: MachineAPIError.self) { try await client.keep(app: "none", running: 1) }
            try await client.createApp("web", org: "acme", appRoot: root)
            let image = "sha256:" + String(repeating: "0", count: 64)
            try await client.keep(app: "web", running: 0, images: [image])
            #expect(try await host.store.imagesInUse() == [image])
            for images in [["x"], ["sha256:1"], Array(repeating: image, count: 33)] {
                await #expect(throws: MachineAPIError.self) { try await client.keep(app: "web", running: 0, images: images) }
            }
            for count in [-1, 1_025] { await #expect(throws: MachineAPIError.self) { try await client.keep(app: "web", running: count) } }
        }
    }
}
