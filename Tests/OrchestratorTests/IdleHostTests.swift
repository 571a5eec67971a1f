import MachineAPI
import Synchronization
import Testing

@testable import Orchestrator

/// The idle time at work: rows, events, watch and API, over machines in memory.
struct IdleHostTests {
    private let root = [UInt8](repeating: 3, count: 32)

    private func started(_ client: MachinesClient, _ idle: MachineConfig.Idle) async throws -> Machine {
        try await client.createApp("web", org: "acme", appRoot: root)
        var config = FakeHost.config
        config.berth = .init(idle: idle)
        let machine = try await client.create(app: "web", name: "m", config: config, skipLaunch: false)
        return try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
    }

    private func events(_ host: FakeHost, _ id: String) async throws -> [String] {
        try await host.store.events(of: id, limit: 20).reversed().map { "\($0.type)/\($0.status)" }
    }

    @Test("one that nobody calls is stopped, with the reason in its events; a start boots it anew")
    func stops() async throws {
        try await withFakeHost { host, client in
            host.door.used.withLock { $0 = MachineUse(idle: .seconds(1_000)) }
            let machine = try await started(client, .init(seconds: 1))
            let stopped = try await client.wait(app: "web", id: machine.id, for: .stopped, seconds: 60)
            let why = try await host.store.events(of: machine.id, limit: 20).first { $0.type == "autostop" }
            #expect(why?.status == "stopping" && why?.source == "berth" && why?.reason == "nobody called it for 1 s")
            #expect(stopped.berth?.door == nil)
            host.door.used.withLock { $0 = MachineUse(idle: nil) }
            try await client.perform(.start, app: "web", id: machine.id)
            let again = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
            #expect(again.berth?.boot_id != machine.berth?.boot_id)
        }
    }

    @Test("suspends where that is wanted; a machine in use is not looked at twice a second, and stays")
    func suspends() async throws {
        try await withFakeHost { host, client in
            host.door.used.withLock { $0 = MachineUse(idle: nil) }
            let machine = try await started(client, .init(seconds: 1, action: .suspend))
            #expect(try await events(host, machine.id).contains { $0.hasPrefix("autostop") } == false)
            host.door.used.withLock { $0 = MachineUse(idle: .seconds(5)) }
            let suspended = try await client.wait(app: "web", id: machine.id, for: .suspended, seconds: 60)
            #expect(suspended.berth?.boot_id == machine.berth?.boot_id)
            // It is waked for somebody: however long it stood still, it is not idle at once.
            try await client.perform(.start, app: "web", id: machine.id)
            _ = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
            #expect(try await events(host, machine.id).filter { $0 == "autostop/suspending" }.count == 1)
        }
    }

    @Test("one whose agent says that it was called serves on; the event says so, and it is tried again")
    func calledMeanwhile() async throws {
        try await withFakeHost { host, client in
            host.door.drains.withLock { $0 = .no("in_use") }
            host.door.used.withLock { $0 = MachineUse(idle: .seconds(5)) }
            let machine = try await started(client, .init(seconds: 1))
            _ = try await eventually("a refusal") {
                try await host.store.events(of: machine.id, limit: 20).first { $0.type == "autostop" && $0.reason?.contains("called meanwhile") == true }
            }
            host.door.drains.withLock { $0 = .yes }
            _ = try await client.wait(app: "web", id: machine.id, for: .stopped, seconds: 60)
            #expect(try await client.machine(app: "web", id: machine.id).berth?.boot_id == nil)
        }
    }

    @Test("the watch goes on in the next orchestrator; what it was asking is asked again there")
    func survives() async throws {
        let first = try FakeHost()
        try await first.open()
        first.door.used.withLock { $0 = MachineUse(idle: nil) }
        let (endpoint, token) = try first.tcp()
        let client = MachinesClient(endpoint: endpoint, token: token)
        let machine = try await started(client, .init(seconds: 1))
        await client.shutdown()
        try await first.leave()

        let second = try FakeHost(directory: first.directory, runtime: first.runtime)
        do {
            try await second.open()
            second.door.used.withLock { $0 = MachineUse(idle: .seconds(9)) }
            _ = try await eventually("stopped") { try await second.store.machine(machine.id).flatMap { $0.state == .stopped ? $0 : nil } }
        } catch {
            try? await second.close()
            throw error
        }
        try await second.close()
    }

    @Test("the API takes an idle time within its range and refuses the rest by its field")
    func api() async throws {
        try await withFakeHost { _, client in
            try await client.createApp("web", org: "acme", appRoot: root)
            for seconds in [0, MachineConfig.Idle.range.upperBound + 1] {
                var config = FakeHost.config
                config.berth = .init(idle: .init(seconds: seconds))
                do {
                    _ = try await client.create(app: "web", name: "m", config: config, skipLaunch: true)
                    Issue.record("\(seconds) s were taken")
                } catch let error as MachineAPIError {
                    #expect(error.status == 422 && error.message.contains("config.berth.idle.seconds"), "\(error)")
                }
            }
        }
    }
}
