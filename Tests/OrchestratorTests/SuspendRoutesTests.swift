import MachineAPI
import Synchronization
import Testing
import Wire

@testable import Orchestrator

/// Suspending through the API, over machines in memory.
struct SuspendRoutesTests {
    private let root = [UInt8](repeating: 3, count: 32)

    private func started(_ host: FakeHost, _ client: MachinesClient) async throws -> Machine {
        try await client.createApp("web", org: "acme", appRoot: root)
        let machine = try await client.create(app: "web", name: "m", config: FakeHost.config, skipLaunch: false)
        return try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
    }

    private func suspend(_ id: String, _ host: FakeHost) async throws -> Int {
        let http = HTTPClient()
        let response = try await http.execute("POST", "/v1/apps/web/machines/\(id)/suspend", headers: [], body: nil, to: host.socket)
        _ = try await response.collect(upTo: 1 << 20)
        await http.shutdown()
        return response.status
    }

    private func story(_ host: FakeHost) -> [String] { host.runtime.state.withLock { $0.story } }

    @Test("suspend answers at once, freezes, and says that it frees nothing without swap; start is the same boot again")
    func suspendAndStart() async throws {
        try await withFakeHost { host, client in
            let machine = try await started(host, client)
            #expect(try await suspend(machine.id, host) == 200)
            let suspended = try await client.wait(app: "web", id: machine.id, for: .suspended, seconds: 60)
            #expect(suspended.berth?.door == nil && suspended.berth?.boot_id == machine.berth?.boot_id)
            #expect(suspended.berth?.reason?.contains("no swap") == true)
            #expect(try await suspend(machine.id, host) == 200)
            try await client.perform(.start, app: "web", id: machine.id)
            let again = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
            #expect(again.berth?.door == machine.berth?.door && again.berth?.boot_id == machine.berth?.boot_id)
            #expect(story(host) == ["freeze", "thaw"])
            let types = try await host.store.events(of: machine.id, limit: 6).reversed().map { "\($0.type)/\($0.status)" }
            #expect(types == ["start/starting", "start/started", "suspend/suspending", "suspend/suspended", "resume/starting", "start/started"])
        }
    }

    @Test("where there is swap the event says how much went there")
    func swap() async throws {
        try await withFakeHost { host, client in
            host.runtime.state.withLock { $0.swapped = 40 << 20 }
            let machine = try await started(host, client)
            #expect(try await suspend(machine.id, host) == 200)
            #expect(try await client.wait(app: "web", id: machine.id, for: .suspended, seconds: 60).berth?.reason == "40 MiB went to swap")
        }
    }

    @Test("a busy machine is frozen when its calls are over; one that does not tell serves on")
    func busy() async throws {
        try await withFakeHost { host, client in
            let machine = try await started(host, client)
            host.door.busy.withLock { $0 = 1 }
            #expect(try await suspend(machine.id, host) == 200)
            #expect(story(host) == [])
            host.door.busy.withLock { $0 = 0 }
            _ = try await client.wait(app: "web", id: machine.id, for: .suspended, seconds: 60)
            try await client.perform(.start, app: "web", id: machine.id)
            _ = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)

            host.door.busy.withLock { $0 = nil }
            #expect(try await suspend(machine.id, host) == 200)
            let refusal = try await eventually("a refusal") {
                try await host.store.events(of: machine.id, limit: 1).first { $0.type == "suspend" && $0.status == "started" }
            }
            #expect(refusal.reason?.contains("not suspended") == true)
            #expect(try await client.machine(app: "web", id: machine.id).state == .started)
            #expect(story(host) == ["freeze", "thaw"])
        }
    }

    @Test("who needs a machine that waits to be frozen does not wait for others' calls")
    func neededMeanwhile() async throws {
        try await withFakeHost { host, client in
            let machine = try await started(host, client)
            host.door.busy.withLock { $0 = 1 }
            #expect(try await suspend(machine.id, host) == 200)
            try await client.perform(.start, app: "web", id: machine.id)
            let again = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
            #expect(again.berth?.boot_id == machine.berth?.boot_id && story(host) == [])
            let told = try await host.store.events(of: machine.id, limit: 1).first
            #expect(told?.type == "suspend" && told?.status == "started" && told?.reason == "not suspended: it was needed meanwhile")

            #expect(try await suspend(machine.id, host) == 200)
            try await client.perform(.stop, app: "web", id: machine.id)
            _ = try await client.wait(app: "web", id: machine.id, for: .stopped, seconds: 60)
            #expect(story(host) == ["signal 15"])
        }
    }

    @Test("only what is started can be suspended")
    func wrongState() async throws {
        try await withFakeHost { host, client in
            let machine = try await started(host, client)
            try await client.perform(.stop, app: "web", id: machine.id)
            _ = try await client.wait(app: "web", id: machine.id, for: .stopped, seconds: 60)
            #expect(try await suspend(machine.id, host) == 412)
        }
    }

    @Test("a stop wakes what it ends; the time of the present state is told")
    func stop() async throws {
        try await withFakeHost { host, client in
            let machine = try await started(host, client)
            #expect(try await suspend(machine.id, host) == 200)
            let suspended = try await client.wait(app: "web", id: machine.id, for: .suspended, seconds: 60)
            try await client.perform(.stop, app: "web", id: machine.id)
            let stopped = try await client.wait(app: "web", id: machine.id, for: .stopped, seconds: 60)
            #expect(story(host) == ["freeze", "thaw", "signal 15"])
            let (before, after) = (try #require(suspended.berth?.since), try #require(stopped.berth?.since))
            #expect(before < after && machine.berth?.since ?? "" < before)
        }
    }

    @Test("the next orchestrator keeps a frozen machine frozen, since when it was, and wakes it")
    func adoption() async throws {
        let first = try FakeHost()
        try await first.open()
        let (endpoint, token) = try first.tcp()
        let client = MachinesClient(endpoint: endpoint, token: token)
        let machine = try await started(first, client)
        #expect(try await suspend(machine.id, first) == 200)
        let before = try await client.wait(app: "web", id: machine.id, for: .suspended, seconds: 60)
        await client.shutdown()
        try await first.leave()

        let second = try FakeHost(directory: first.directory, runtime: FakeRuntime(), door: first.door)
        second.runtime.state.withLock { [old = first.runtime.state.withLock { $0 }] in
            $0.running = old.running
            $0.frozen = old.frozen
        }
        try await second.open()
        let next = MachinesClient(endpoint: try second.tcp().endpoint, token: try second.tcp().token)
        let after = try await next.machine(app: "web", id: machine.id)
        #expect(after.state == .suspended && after.berth?.since == before.berth?.since && after.berth?.boot_id == machine.berth?.boot_id)
        try await next.perform(.start, app: "web", id: machine.id)
        let waked = try await next.wait(app: "web", id: machine.id, for: .started, seconds: 60)
        #expect(waked.berth?.boot_id == machine.berth?.boot_id && second.runtime.state.withLock { $0.frozen.isEmpty })
        await next.shutdown()
        try await second.close()
    }
}
