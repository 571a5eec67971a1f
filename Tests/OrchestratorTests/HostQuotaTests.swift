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

    @Test("machines are bounded by their number, whatever their state, and those that are gone do not count")
    func number() async throws {
        var quota = HostQuota()
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

    @Test("apps are bounded by their number")
    func apps() async throws {
        var quota = HostQuota()
        quota.apps = 1
        try await withFakeHost(quota: quota) { _, client in
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            try await client.createApp("a", org: "acme", appRoot: Self.root)
            #expect(await refused { try await client.createApp("b", org: "other", appRoot: Self.root) }?.code == "insufficient_capacity")
        }
    }
}
