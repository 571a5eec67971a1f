import FoundationEssentials
import MachineAPI
import Synchronization
import Testing
import Wire

@testable import Orchestrator

/// Starts that the host has no room for, over machines in memory: refused by the API, and nothing of them stays.
struct AdmissionTests {
    private static let root = [UInt8](repeating: 7, count: 32)
    /// Room for three machines of 64 MiB.
    private static func budget(_ mebibytes: Int = 200) -> MemoryBudget {
        MemoryBudget(.mebibytes(mebibytes)) { HostMemory(total: 8 << 30, available: 8 << 30) }
    }

    private func refused(_ body: () async throws -> Void) async throws -> MachineAPIError {
        do {
            try await body()
        } catch let error as MachineAPIError {
            return error
        }
        throw TimedOut(what: "a refusal")
    }

    private func started(_ client: MachinesClient, _ name: String) async throws -> Machine {
        let machine = try await client.create(app: "a", name: name, config: FakeHost.config, skipLaunch: false)
        return try await client.wait(app: "a", id: machine.id, for: .started, seconds: 60)
    }

    private func release(_ host: FakeHost, _ bytes: Int) async throws {
        _ = try await eventually("\(bytes >> 20) MiB") { host.budget.report.promised == bytes ? true : nil }
    }

    @Test("a create that would pass the budget is 503 with Retry-After, a reason and a remedy, and leaves no machine")
    func create() async throws {
        try await withFakeHost(budget: Self.budget()) { host, client in
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            var machines: [Machine] = []
            for name in ["m1", "m2", "m3"] { machines.append(try await started(client, name)) }
            let refusal = try await refused { _ = try await client.create(app: "a", name: "m4", config: FakeHost.config, skipLaunch: false) }
            #expect(refusal.status == 503 && refusal.code == "insufficient_capacity" && refusal.reason == "memory_budget")
            #expect(refusal.retryAfterSeconds == 5 && refusal.hint?.contains("--memory-budget") == true)
            #expect(try await client.machines(app: "a").count == 3)
            // One that shall not run takes nothing; its start is asked for the same.
            let idle = try await client.create(app: "a", name: "m4", config: FakeHost.config, skipLaunch: true)
            #expect(try await refused { try await client.perform(.start, app: "a", id: idle.id) }.status == 503)
            #expect(try await client.machine(app: "a", id: idle.id).state == .stopped)
            #expect(try await refused { try await client.perform(.restart, app: "a", id: idle.id) }.status == 503)
            // One that runs is started, and restarted, at any time.
            try await client.perform(.start, app: "a", id: machines[0].id)
            try await client.perform(.restart, app: "a", id: machines[0].id)
            _ = try await client.wait(app: "a", id: machines[0].id, for: .started, seconds: 60)

            try await client.perform(.stop, app: "a", id: machines[1].id)
            try await release(host, 128 << 20)
            try await client.perform(.start, app: "a", id: idle.id)
            _ = try await client.wait(app: "a", id: idle.id, for: .started, seconds: 60)
            try await client.destroy(app: "a", id: idle.id)
            #expect(host.budget.report.promised == 128 << 20)
        }
    }

    @Test("of starts at once no more succeed than there is room for")
    func race() async throws {
        try await withFakeHost(budget: Self.budget(320)) { host, client in
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            let made = await withTaskGroup(of: String?.self) { group in
                for number in 0..<24 {
                    group.addTask { try? await client.create(app: "a", name: "m\(number)", config: FakeHost.config, skipLaunch: false).id }
                }
                return await group.reduce(into: [String]()) { if let id = $1 { $0.append(id) } }
            }
            #expect(made.count == 5 && host.budget.report.promised == 320 << 20)
            for id in made { _ = try await client.wait(app: "a", id: id, for: .started, seconds: 60) }
            #expect(try await client.machines(app: "a").count == 5)
        }
    }

    @Test("a start that fails gives its share back when nothing of it is left, not before")
    func failedStart() async throws {
        try await withFakeHost(budget: Self.budget(64)) { host, client in
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            host.runtime.state.withLock {
                $0.createError = OCIError(.runtimeFailed, "no")
                $0.removeFailures = 1
            }
            var config = FakeHost.config
            config.restart = .init(policy: .no)
            let machine = try await client.create(app: "a", name: "m", config: config, skipLaunch: false)
            _ = try await eventually("a failed start") { try await client.machine(app: "a", id: machine.id).state == .failed ? true : nil }
            try await release(host, 0)
            host.runtime.state.withLock { $0.createError = nil }
            _ = try await started(client, "n")
        }
    }

    @Test("a suspended machine keeps its share, and wakes with it")
    func suspended() async throws {
        try await withFakeHost(budget: Self.budget(64)) { host, client in
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            let machine = try await started(client, "m")
            try await host.reconciler.send(.suspend(source: "user"), to: machine.id)
            _ = try await client.wait(app: "a", id: machine.id, for: .suspended, seconds: 60)
            #expect(host.budget.report.promised == 64 << 20)
            #expect(try await refused { _ = try await client.create(app: "a", name: "n", config: FakeHost.config, skipLaunch: false) }.status == 503)
            try await client.perform(.start, app: "a", id: machine.id)
            _ = try await client.wait(app: "a", id: machine.id, for: .started, seconds: 60)
        }
    }

    @Test("the next orchestrator counts what runs, and starts what should run as far as there is room")
    func adoption() async throws {
        let first = try FakeHost(budget: Self.budget())
        try await first.open()
        let (endpoint, token) = try first.tcp()
        let client = MachinesClient(endpoint: endpoint, token: token)
        try await client.createApp("a", org: "acme", appRoot: Self.root)
        let kept = try await started(client, "kept")
        var lost: [String] = []
        for name in ["lost1", "lost2"] { lost.append(try await started(client, name).id) }
        await client.shutdown()
        try await first.leave()
        // As after a restart of the host, but for one.
        let runtime = FakeRuntime()
        let running = first.runtime.state.withLock { $0.running.filter { $0.key.hasPrefix(kept.id) } }
        runtime.state.withLock { $0.running = running }
        let second = try FakeHost(directory: first.directory, runtime: runtime, budget: Self.budget(130))
        try await second.open()
        let states = try await eventually("machines that have settled") { () -> [MachineState]? in
            let states = try await second.store.machines().map(\.state)
            // The rows of an earlier orchestrator are settled too, until this one has looked at them.
            return states.contains(.stopped) && states.allSatisfy { !$0.isTransient } ? states.sorted { $0.rawValue < $1.rawValue } : nil
        }
        #expect(states == [.started, .started, .stopped])
        #expect(try await second.store.machine(kept.id)?.state == .started)
        #expect(second.budget.report.promised == 128 << 20)
        let left = try #require(try await second.store.machines().first { $0.state == .stopped })
        #expect(lost.contains(left.id) && left.desired == .stopped && left.reason?.contains("memory budget") == true, "\(left)")
        try await second.close()
    }

    @Test("an update to a larger machine is refused while there is no room, and nothing has changed")
    func update() async throws {
        try await withFakeHost(budget: Self.budget()) { host, client in
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            let machine = try await started(client, "m")
            _ = try await started(client, "n")
            var larger = FakeHost.config
            larger.guest?.memory_mb = 150
            let record = try #require(try await host.store.machine(machine.id))
            func update(_ config: MachineConfig) async throws {
                struct Wanted: Encodable { var config: MachineConfig }
                _ = try await host.orchestrator.update(record, try CreateMachineRequest(Array(try JSONCoding.encode(Wanted(config: config))), isUpdate: true))
            }
            await #expect { try await update(larger) } throws: { ($0 as? MachineFailure)?.details["reason"] == "memory_budget" }
            #expect(try await host.store.machine(machine.id)?.config == record.config && host.budget.report.promised == 128 << 20)
            larger.guest?.memory_mb = 130
            try await update(larger)
            _ = try await eventually("the new version") {
                try await host.store.machine(machine.id).flatMap { $0.state == .started && $0.config == larger ? true : nil }
            }
            #expect(host.budget.report.promised == 194 << 20)
        }
    }

    @Test("what could never start is not taken, whether it shall run or not")
    func tooLarge() async throws {
        try await withFakeHost(budget: Self.budget()) { _, client in
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            var config = FakeHost.config
            config.guest?.memory_mb = 201
            let refusal = try await refused { _ = try await client.create(app: "a", name: "m", config: config, skipLaunch: true) }
            #expect(refusal.status == 409 && refusal.code == "insufficient_capacity")
            #expect(refusal.message == "201 MiB are more than all machines of this host may have, 200 MiB")
        }
    }
}
