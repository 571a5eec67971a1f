import Foundation
import Glibc
import GRDB
import Persistence
import Testing

@testable import Orchestrator

/// Files that a build, a machine or a killed Berth leaves: planted and found. Needs no machine.
@Suite struct LeftoverFileTests {
    /// The folders of an installation that never ran.
    private struct Installation: ~Copyable {
        let directory = "/tmp/berth-left-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        var state: String { directory + "/state/orchestrator" }
        var run: String { directory + "/run" }
        var prefix: String { "/" + (directory as NSString).lastPathComponent }
        var configuration: OCIConfiguration {
            OCIConfiguration(stateDirectory: state, runDirectory: run, cgroupPrefix: prefix, doorGroup: 0)
        }

        init() throws {
            for path in [state + "/images/building", state + "/uploads", state + "/logs", run + "/doors", run + "/egress"] {
                try Files.makeDirectories(path, mode: 0o700)
            }
        }

        func scan(owned: Set<String> = [], machines: Set<String>? = nil) -> [Leftover] {
            Leftovers.scan(configuration: configuration, owned: owned, machines: machines).items
        }

        deinit { try? Files.removeTree(directory) }
    }

    private static let boot = "0123456789abcd-01FILES"

    /// A bound socket; without its descriptor nobody is behind the path.
    private static func bound(_ path: String) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        try #require(result == 0)
        return descriptor
    }

    @Test("a socket that nobody listens on is listed, unless a supervisor is about to bring its owner back")
    func sockets() throws {
        let place = try Installation()
        let path = place.run + "/machines.sock"
        let descriptor = try Self.bound(path)
        #expect(place.scan() == [])
        close(descriptor)
        #expect(place.scan() == [Leftover(.socket, path)])
        let lock = try held(place.directory + "/state/lock")
        #expect(place.scan() == [])
        close(lock)
        #expect(place.scan() == [Leftover(.socket, path)])
        unlink(path)

        let door = place.run + "/doors/01FILES.sock"
        close(try Self.bound(door))
        #expect(place.scan() == [Leftover(.socket, door, boot: "01FILES")])
        #expect(place.scan(owned: [Self.boot]) == [])
    }

    @Test("a build's way out is listed when its machine has no boot")
    func egress() throws {
        let place = try Installation()
        let folder = place.run + "/egress/0123456789abcd"
        try Files.makeDirectories(folder, mode: 0o755)
        close(try Self.bound(folder + "/egress.sock"))
        #expect(place.scan() == [Leftover(.socket, folder + "/egress.sock"), Leftover(.egress, folder)])
        #expect(place.scan(owned: [Self.boot]) == [])
    }

    @Test("half-made images and uploads are listed when no orchestrator runs that could finish them, or when they are too old")
    func halfMade() throws {
        let place = try Installation()
        let (image, upload) = (place.state + "/images/building/0123", place.state + "/uploads/part-0123")
        try Files.makeDirectories(image, mode: 0o700)
        try Files.write(upload, [1])
        try Files.write(place.state + "/uploads/whole.tar", [1])
        let both = [Leftover(.halfMade, image), Leftover(.halfMade, upload)]
        #expect(place.scan() == both)
        let lock = try held(place.state + "/lock")
        defer { close(lock) }
        #expect(place.scan() == [])
        for path in [image, upload] {
            let then = Date(timeIntervalSinceNow: -Double(LeftoverFiles.longestBuild) - 60)
            try FileManager.default.setAttributes([.modificationDate: then], ofItemAtPath: path)
        }
        #expect(place.scan() == both)
    }

    @Test("a log is listed when its machine is gone, and removed by the next orchestrator")
    func logs() async throws {
        let place = try Installation()
        let paths = ["/logs/0123456789abcd.log", "/logs/0123456789abcd.log.1"].map { place.state + $0 }
        for path in paths { try Files.write(path, [1]) }
        #expect(place.scan(machines: []) == paths.map { Leftover(.log, $0) })
        #expect(place.scan(machines: ["0123456789abcd"]) == [])
        #expect(place.scan(owned: [Self.boot], machines: []) == [], "of a job")
        #expect(place.scan() == [], "not judged without rows")

        let keys = try KeyRing(path: place.state + "/keys", createIfAbsent: true)
        let store = MachineStore(database: try DatabaseFile(place.state + "/orchestrator.db", migrations: OrchestratorSchema.migrations), keys: keys)
        try await OrchestratorService.removeUnownedLogs(place.configuration, store)
        try store.database.pool.close()
        #expect(place.scan(machines: []) == [])
    }

    @Test("the whole search needs no state, no gateway's user and no agent, and knows what has a row")
    func rows() async throws {
        let place = try Installation()
        func search() async throws -> [Leftover] {
            try await OrchestratorService.leftovers(stateDirectory: place.state, runDirectory: place.run, cgroupPrefix: place.prefix)
        }
        #expect(try await search() == [], "before the first start")
        let bundle = place.state + "/bundles/" + Self.boot
        try Files.makeDirectories(bundle, mode: 0o700)
        #expect(try await search() == [Leftover(.bundle, bundle, boot: Self.boot)])

        // An empty database is that of an orchestrator which has just begun.
        let queue = try DatabaseQueue(path: place.state + "/orchestrator.db")
        try queue.close()
        chmod(place.state + "/orchestrator.db", 0o600)
        #expect(try await search().count == 1)
        let keys = try KeyRing(path: place.state + "/keys", createIfAbsent: true)
        let store = MachineStore(database: try DatabaseFile(place.state + "/orchestrator.db", migrations: OrchestratorSchema.migrations), keys: keys)
        #expect(try await search().count == 1)
        _ = try await store.beginBoot(machine: "0123456789abcd", boot: "01FILES", kind: .job, door: nil, at: 0)
        #expect(try await search() == [], "while the orchestrator has the database open")
        try await store.endBoot("01FILES")
        #expect(try await search().count == 1)
        try store.database.pool.close()
        #expect(try await search().count == 1)
    }

    @Test("lines of mountinfo, with and without optional fields")
    func mountinfo() {
        let text = """
            36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:4 - ext3 /dev/root rw,errors=continue
            37 35 0:4 net:[4026532345] /run/x\\040y rw - nsfs nsfs rw
            bad line
            """
        #expect(
            MountTable.parse(text) == [
                .init(root: "/mnt1", point: "/mnt2", type: "ext3"), .init(root: "net:[4026532345]", point: "/run/x\\040y", type: "nsfs"),
            ])
    }

    @Test("a user namespace is ours by the exact shape of its map")
    func ranges() throws {
        let place = try Installation()
        let slots = UserIDs.slots(place.prefix)
        let namespaces = LeftoverNamespaces(configuration: place.configuration, owned: [], slots: slots)
        let (first, last) = (MachineSpec.uidBase(slot: slots.lowerBound), MachineSpec.uidBase(slot: slots.upperBound - 1))
        for base in [first, last] { #expect(namespaces.isRangeOfOurs("         0     \(base)      65536\n")) }
        for map in [
            "0 \(first - 65_536) 65536", "0 \(last + 65_536) 65536", "0 \(first + 1) 65536", "0 \(first) 65535", "1 \(first) 65536",
            "0 1000 1\n1 \(first) 65536", "0 0 4294967295", "", "x",
        ] { #expect(!namespaces.isRangeOfOurs(map), "\(map)") }
    }

    private func held(_ path: String) throws -> Int32 {
        let lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try #require(lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
        return lock
    }
}
