import MachineAPI
import Testing

@testable import Orchestrator

struct HostQuotaTests {
    private static let root = [UInt8](repeating: 7, count: 32)

    private func refused(_ body: () async throws -> Void) async -> MachineAPIError? {
        do {
            try await body()
            Issue.record("it was taken")
            return nil
        } catch {
            return error as? MachineAPIError
        }
    }

    private func config(_ memory: Int?) -> MachineConfig {
        var config = FakeHost.config
        config.guest = memory.map { .init(memory_mb: $0) }
        return config
    }

    @Test("the host's own bounds: four times its memory, no machine larger than it")
    func standard() {
        let quota = HostQuota()
        #expect(quota.machineMemory > 256 && quota.memory == 4 * quota.machineMemory)
    }

    @Test("machines are bounded by their number, whatever their state, and those that are gone do not count")
    func number() async throws {
        var quota = HostQuota(hostMemory: 4_096)
        quota.machines = 2
        try await withFakeHost(quota: quota) { _, client in
            for app in ["a", "b"] { try await client.createApp(app, org: "acme", appRoot: Self.root) }
            let first = try await client.create(app: "a", name: "m", config: config(64), skipLaunch: true)
            _ = try await client.create(app: "b", name: "m", config: config(64), skipLaunch: true)
            let failure = await refused { _ = try await client.create(app: "a", name: "n", config: config(64), skipLaunch: true) }
            #expect(failure?.status == 409 && failure?.code == "insufficient_capacity" && failure?.hint == "destroy some")
            // One that is there already is answered all the same.
            #expect(try await client.create(app: "a", name: "m", config: config(64), skipLaunch: true).id == first.id)
            try await client.destroy(app: "a", id: first.id)
            _ = try await client.create(app: "a", name: "n", config: config(64), skipLaunch: true)
        }
    }

    @Test("machines are bounded by what they may use together, and each by the host")
    func memory() async throws {
        try await withFakeHost(quota: HostQuota(hostMemory: 256)) { _, client in
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            let huge = await refused { _ = try await client.create(app: "a", name: "huge", config: config(257), skipLaunch: true) }
            #expect(huge?.status == 409 && huge?.message == "257 MiB are more than this host has, 256 MiB")
            // Without a word of it a machine has 256 MiB.
            for (name, memory) in [("m1", 256), ("m2", nil), ("m3", 256), ("m4", 192)] as [(String, Int?)] {
                _ = try await client.create(app: "a", name: name, config: config(memory), skipLaunch: true)
            }
            let failure = await refused { _ = try await client.create(app: "a", name: "m5", config: config(65), skipLaunch: true) }
            let text = "the machines of this host may use 960 MiB already, and 65 MiB more would pass its bound of 1024 MiB"
            #expect(failure?.code == "insufficient_capacity")
            #expect(failure?.message == text)
            _ = try await client.create(app: "a", name: "m5", config: config(64), skipLaunch: true)
            #expect(try await client.machines(app: "a").count == 5)
        }
    }

    @Test("apps are bounded by their number")
    func apps() async throws {
        var quota = HostQuota(hostMemory: 256)
        quota.apps = 1
        try await withFakeHost(quota: quota) { _, client in
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            #expect(await refused { try await client.createApp("b", org: "other", appRoot: Self.root) }?.code == "insufficient_capacity")
        }
    }
}
