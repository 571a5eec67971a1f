import Door
import Foundation
import GRDB
import MachineAPI
import Persistence
import Sealing
import Testing

@testable import Orchestrator

struct MachineStoreTests {
    private func withStore(_ body: (MachineStore, String) async throws -> Void) async throws {
        let directory = "/tmp/berth-store-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        _ = try StateDirectory(directory)
        defer { try? Files.removeTree(directory) }
        let store = MachineStore(
            database: try DatabaseFile(directory + "/orchestrator.db", migrations: OrchestratorSchema.migrations),
            keys: try KeyRing(path: directory + "/keys"))
        try await body(store, directory)
        try store.database.pool.close()
    }

    private func app(_ name: String, org: String = "acme") -> AppRecord {
        AppRecord(name: name, id: MachineID.random(), org: org, network: nil, isDeleting: false, createdAt: 1)
    }

    private func machine(_ name: String, app: String = "a", id: String = MachineID.random()) -> MachineRecord {
        MachineRecord(
            id: id, app: app, name: name, instance: ULID().description, config: FakeHost.config, state: .created, desired: .stopped, createdAt: 1,
            updatedAt: 1)
    }

    private let launch = MachineEvent(type: "launch", status: "created", source: "user", reason: nil, at: 1)

    @Test("an app's root opens for its own row only, and appears in no file as it is")
    func roots() async throws {
        try await withStore { store, directory in
            let root = try AppRoot(secret: Secret(Array("0123456789abcdef0123456789abcdef".utf8)))
            #expect(try await store.createApp(app("a"), root: root) == .created)
            #expect(try await store.createApp(app("a"), root: root) == .exists)
            #expect(try await store.createApp(app("a"), root: AppRoot(secret: Secret(randomBytes(32)))) == .taken)
            #expect(try await store.createApp(app("a", org: "other"), root: root) == .taken)
            #expect(try await store.root(of: "a").id == root.id)
            #expect(try await store.createApp(app("b"), root: AppRoot(secret: Secret(randomBytes(32)))) == .created)
            try await store.write { try $0.execute(sql: "UPDATE apps SET root = (SELECT root FROM apps WHERE name = 'a') WHERE name = 'b'") }
            await #expect(throws: StateError.self) { try await store.root(of: "b") }
            for name in Files.names(directory) where name.hasPrefix("orchestrator.db") {
                let bytes = try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name))
                #expect(bytes.range(of: Data("0123456789abcdef".utf8)) == nil)
            }
        }
    }

    @Test("names are unique in an app until their machine is destroyed")
    func names() async throws {
        try await withStore { store, _ in
            _ = try await store.createApp(app("a"), root: AppRoot(secret: Secret(randomBytes(32))))
            var first = machine("m")
            #expect(try await store.insert(first, event: launch))
            #expect(try await store.insert(machine("m"), event: .init(type: "x", status: "x", source: "x", reason: nil, at: 2)) == false)
            first.state = .destroyed
            try await store.save(first, events: [])
            #expect(try await store.machine(named: "m", app: "a") == nil)
            #expect(try await store.insert(machine("m"), event: .init(type: "x", status: "x", source: "x", reason: nil, at: 2)))
            #expect(try await store.machine(first.id)?.state == .destroyed)
            #expect(try await store.machines(app: "a").count == 1)
            #expect(try await store.machines(app: "a", includesDestroyed: true).count == 2)
            try await store.prune(destroyedBefore: 2)
            #expect(try await store.machine(first.id) == nil)
        }
    }

    @Test("an app's next machine may need the last image of one that is gone; what failed five times over, nobody does")
    func images() async throws {
        try await withStore { store, _ in
            _ = try await store.createApp(app("a"), root: AppRoot(secret: Secret(randomBytes(32))))
            func pass(_ image: String, at time: Int64, goes: Bool = true) async throws {
                var machine = machine("m-\(image)-\(time)")
                machine.config.image = image
                machine.updatedAt = time
                #expect(try await store.insert(machine, event: .init(type: "x", status: "x", source: "x", reason: nil, at: time)))
                guard goes else { return }
                machine.state = .destroyed
                machine.updatedAt = time + 1
                try await store.save(machine, events: [])
            }
            try await pass("old", at: 1)
            #expect(try await store.imagesInUse() == ["old"])
            try await store.prune(destroyedBefore: 100)
            #expect(try await store.imagesInUse() == ["old"])
            try await pass("lives", at: 2, goes: false)
            for time in [3, 5, 7, 9, 11] { try await pass("failed-\(time)", at: Int64(time)) }
            #expect(try await store.imagesInUse() == ["lives", "failed-3", "failed-5", "failed-7", "failed-9", "failed-11"])
            // What a caller names stays, whatever else its machines were made of, and goes with the app.
            try await store.setKeptImages(of: "a", ["old", "lives"])
            #expect(try await store.imagesInUse().contains("old"))
            #expect(try await store.imageUses().contains { $0.image == "old" && $0.app == "a" && $0.machine == nil })
            try await store.write { try $0.execute(sql: "UPDATE machines SET state = 'destroyed'; UPDATE apps SET deleting = 1") }
            #expect(try await store.deleteIfEmpty("a"))
            try await store.write { try $0.execute(sql: "DELETE FROM app_images; DELETE FROM apps") }
            #expect(try await store.imagesInUse() == [])
        }
    }

    @Test("rows of an earlier version: the images of their machines are known from then on")
    func imagesOfEarlierRows() async throws {
        let directory = "/tmp/berth-store-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        _ = try StateDirectory(directory)
        defer { try? Files.removeTree(directory) }
        let keys = try KeyRing(path: directory + "/keys")
        let old = try DatabaseFile(directory + "/orchestrator.db", migrations: [OrchestratorSchema.migrations[0]])
        try await old.pool.write { database in
            try database.execute(
                sql: """
                    INSERT INTO apps (name, id, org, root, created_at) VALUES ('a', 'a', 'o', x'00', 1);
                    INSERT INTO machines (id, app, name, instance, config, state, desired, created_at, updated_at)
                    VALUES ('m', 'a', 'm', 'i', '{"image":"sha256:1"}', 'destroyed', 'stopped', 1, 1)
                    """)
        }
        try old.pool.close()
        let store = MachineStore(database: try DatabaseFile(directory + "/orchestrator.db", migrations: OrchestratorSchema.migrations), keys: keys)
        #expect(try await store.imagesInUse() == ["sha256:1"])
        try store.database.pool.close()
    }

    @Test("a row comes back as it was written, with its events newest first")
    func roundTrip() async throws {
        try await withStore { store, _ in
            _ = try await store.createApp(app("a"), root: AppRoot(secret: Secret(randomBytes(32))))
            var record = machine("m")
            #expect(try await store.insert(record, event: launch))
            record.state = .starting
            record.desired = .running
            record.attempts = 3
            record.wasReady = true
            record.reason = "because"
            record.updatedAt = 5
            try await store.save(record, events: [.init(type: "start", status: "starting", source: "user", reason: "r", at: 5)])
            record.boot = try await store.beginBoot(machine: record.id, boot: "B1", kind: .machine, door: "/d", at: 6)
            #expect(try await store.machine(record.id) == record)
            #expect(try await store.machine(record.id, app: "other") == nil)
            let events = try await store.events(of: record.id, limit: 10)
            #expect(events.map(\.type) == ["start", "launch"] && events[0].reason == "r")
        }
    }

    @Test("a machine keeps its last 200 events, however many others write")
    func eventLimit() async throws {
        try await withStore { store, _ in
            _ = try await store.createApp(app("a"), root: AppRoot(secret: Secret(randomBytes(32))))
            let (quiet, loud) = (machine("quiet"), machine("loud"))
            #expect(try await store.insert(quiet, event: launch))
            #expect(try await store.insert(loud, event: .init(type: "launch", status: "created", source: "user", reason: nil, at: 2)))
            for turn in 0..<30 {
                let events = (0..<10).map { MachineEvent(type: "t\(turn).\($0)", status: "s", source: "berth", reason: nil, at: 3) }
                try await store.save(loud, events: events)
            }
            let kept = try await store.events(of: loud.id, limit: 1_000)
            #expect(kept.count == 200 && kept.first?.type == "t29.9")
            #expect(try await store.events(of: quiet.id, limit: 10).count == 1)
        }
    }

    @Test("a range of user ids belongs to one boot until its row is gone")
    func slots() async throws {
        try await withStore { store, _ in
            let first = try await store.beginBoot(machine: "m1", boot: "B1", kind: .machine, door: nil, at: 1)
            let second = try await store.beginBoot(machine: "m2", boot: "B2", kind: .job, door: nil, at: 1)
            #expect(first.slot == 0 && second.slot == 1)
            await #expect(throws: StateError.self, "one boot of a machine at a time") {
                try await store.beginBoot(machine: "m1", boot: "B3", kind: .machine, door: nil, at: 1)
            }
            try await store.endBoot("B1")
            #expect(try await store.beginBoot(machine: "m3", boot: "B4", kind: .machine, door: nil, at: 1).slot == 0)
            #expect(Set(try await store.boots().map(\.boot)) == ["B2", "B4"])
        }
    }

    @Test("an app goes when it is marked and its machines are destroyed")
    func deletion() async throws {
        try await withStore { store, _ in
            _ = try await store.createApp(app("a"), root: AppRoot(secret: Secret(randomBytes(32))))
            var record = machine("m")
            #expect(try await store.insert(record, event: launch))
            #expect(try await store.deleteIfEmpty("a") == false)
            try await store.markDeleting("a")
            #expect(try await store.deleteIfEmpty("a") == false)
            record.state = .destroyed
            try await store.save(record, events: [])
            #expect(try await store.deleteIfEmpty("a"))
            #expect(try await store.machine(record.id) == nil)
            #expect(try await store.deleteIfEmpty("never"))
        }
    }
}
