import FoundationEssentials
import MachineAPI
import NIOCore
import Synchronization
import Testing
import Wire

@testable import Orchestrator

/// What machines use, as the API tells it.
struct UsageRoutesTests {
    private func get<T: Decodable>(_ path: String, _ host: FakeHost, as type: T.Type) async throws -> (status: Int, value: T?) {
        let http = HTTPClient()
        let response = try await http.execute("GET", path, headers: [], body: nil, to: host.socket)
        let body = try await response.collect(upTo: 1 << 20)
        await http.shutdown()
        return (response.status, try? JSONDecoder().decode(type, from: Data(body.readableBytesView)))
    }

    private struct All: Decodable { var machines: [MachineUsage] }

    @Test("of one and of all: what runs in full, of what is stopped the disk")
    func routes() async throws {
        try await withFakeHost { host, client in
            var now = MachineStatistics()
            now.memoryBytes = 5 << 20
            now.memoryLimitBytes = 64 << 20
            now.oomKills = 1
            now.cpuLimit = 0.5
            now.pids = 3
            now.tmp = .init(used: 4_096, limit: 16 << 20)
            host.runtime.state.withLock { [now] in $0.statistics = now }
            try await client.createApp("web", org: "acme", appRoot: [UInt8](repeating: 3, count: 32))
            let running = try await client.create(app: "web", name: "a", config: FakeHost.config, skipLaunch: false)
            let stopped = try await client.create(app: "web", name: "b", config: FakeHost.config, skipLaunch: true)
            let boot = try await client.wait(app: "web", id: running.id, for: .started, seconds: 60).berth?.boot_id

            let one = try await get("/v1/apps/web/machines/\(running.id)/berth/usage", host, as: MachineUsage.self)
            let usage = try #require(one.value)
            #expect(usage.machine == running.id && usage.app == "web" && usage.state == .started && usage.boot_id == boot)
            #expect(usage.memory?.used == 5 << 20 && usage.memory?.limit == 64 << 20 && usage.memory?.oom_kills == 1)
            // The fake uses a millisecond from one reading to the next.
            let cpu = try #require(usage.cpu)
            #expect(cpu.limit == 0.5 && cpu.used > 0 && cpu.used <= 0.004)
            #expect(usage.pids?.now == 3 && usage.disk.tmp == 4_096 && usage.disk.log == 77)
            #expect(usage.start?.total_ms ?? -1 >= 0)

            let all = try #require(try await get("/v1/berth/usage", host, as: All.self).value).machines
            #expect(all.map(\.machine) == [running.id, stopped.id])
            #expect(all[1].cpu == nil && all[1].memory == nil && all[1].disk.log == 77 && all[1].start == nil)
            #expect(try await get("/v1/apps/web/machines/ffffffffffffff/berth/usage", host, as: MachineUsage.self).status == 404)
        }
    }
}
