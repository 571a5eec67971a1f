import FoundationEssentials
import GRDB
import Glibc
import MachineAPI
public import Persistence
import Sealing

/// The orchestrator's part of a backup: its database, its key ring, and the images that machines and apps need. Layers are
/// OCI layer archives named by their digest. Logs of machines, uploads and what a build makes anew are no part of it.
public enum OrchestratorBackup {
    /// What a part of a backup was found to hold.
    public struct Summary: Codable, Sendable, Equatable {
        public var apps = 0
        public var machines = 0
        public var images = 0
        public var layers = 0
    }

    /// Writes the part while an orchestrator may be running.
    ///
    /// - Parameters:
    ///   - directory: the orchestrator's part of the state.
    ///   - scratch: an empty directory of the caller's, for the database's copy.
    ///   - images: whether images go into it.
    /// - Returns: digests of images that the state names and that are not in the store whole.
    public static func pack(directory: String, scratch: String, images: Bool, to writer: BackupWriter) throws -> [String] {
        let copy = scratch + "/orchestrator.db"
        try DatabaseCopy.take(of: directory + "/orchestrator.db", migrations: OrchestratorSchema.migrations, to: copy)
        guard let keys = try PrivateFile.read(directory + "/keys", limit: 65_536) else {
            throw StateError(.missingKeys, "\(directory)/keys is missing, and without it the apps' keys cannot be opened", remedy: "restore it from a backup")
        }
        try writer.add("orchestrator/keys", keys)
        let database = Descriptor(open(copy, O_RDONLY | O_CLOEXEC | O_NOFOLLOW))
        var status = stat()
        guard database.value >= 0, fstat(database.value, &status) == 0 else { throw Disk.failure("open", copy, errno) }
        try writer.add("orchestrator/orchestrator.db", from: database.value, size: Int(status.st_size))
        guard images else { return [] }
        let wanted = try DatabaseCopy.read(copy, migrations: OrchestratorSchema.migrations) { try MachineStore.imagesInUse($0) }
        unlink(copy)
        return try BackedUpImages(store: directory + "/images").pack(wanted, to: writer)
    }

    /// Takes a part over from a backup, everything checked: pages and schema of the database, seals, images by their digests.
    /// All of it or, where it throws, something that the caller removes.
    ///
    /// - Parameters:
    ///   - directory: empty.
    ///   - keeps: false to check only: a layer is hashed then, and not written.
    public static func unpack(_ reader: BackupReader, into directory: String, keeps: Bool) throws -> Summary {
        if keeps { _ = try StateDirectory(directory) }
        var images = try RestoredImages(directory: directory + "/images", keeps: keeps)
        while let entry = try reader.next() {
            let parts = entry.name.split(separator: "/").map(String.init)
            guard parts.first == "orchestrator", let name = parts.last else {
                throw StateError(.damaged, "\(entry.name) is not the orchestrator's")
            }
            if parts.count == 2 { try reader.copy(to: directory + "/" + name) } else { try images.take(entry, parts.dropFirst(2).joined(separator: "/"), reader) }
        }
        let ring = try KeyRing(path: directory + "/keys", createIfAbsent: false)
        let path = directory + "/orchestrator.db"
        var summary = Summary()
        let named = try DatabaseCopy.read(path, migrations: OrchestratorSchema.migrations) { database in
            for row in try Row.fetchAll(database, sql: "SELECT name, id, root FROM apps") {
                _ = try ring.open(Array(row["root"] as Data), identity: MachineStore.identity(row["name"], row["id"]))
                summary.apps += 1
            }
            if let token = try Data.fetchOne(database, sql: "SELECT value FROM settings WHERE name = 'token'") {
                _ = try ring.open(Array(token), identity: "settings/token")
            }
            for row in try Row.fetchAll(database, sql: "SELECT name, value FROM settings WHERE substr(name, 1, 9) = 'registry/'") {
                _ = try ring.open(Array(row["value"] as Data), identity: MachineStore.loginIdentity(row["name"]))
            }
            summary.machines = try Int.fetchOne(database, sql: "SELECT count(*) FROM machines WHERE state != 'destroyed'") ?? 0
            return try MachineStore.imagesInUse(database)
        }
        (summary.images, summary.layers) = try images.finish()
        if reader.manifest?.holdsImages == true {
            let known = images.images.union(reader.manifest?.missingImages ?? [])
            if let missing = named.subtracting(known).sorted().first {
                throw StateError(.damaged, "the image \(missing), which machines need, is not in it", remedy: "take another backup")
            }
        }
        return summary
    }
}
