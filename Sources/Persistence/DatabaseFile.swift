import GRDB
import Glibc

/// One step forward of a schema. Names are never reused, applied steps never changed.
public struct Migration: Sendable {
    public var name: String
    public var apply: @Sendable (Database) throws -> Void

    public init(_ name: String, _ apply: @escaping @Sendable (Database) throws -> Void) {
        self.name = name
        self.apply = apply
    }
}

/// One SQLite file with its one writer: WAL, 0600, migrated forward before anybody uses it.
public struct DatabaseFile: Sendable {
    /// What survives a power cut.
    public enum Durability: Sendable {
        /// Every commit (`synchronous=FULL`).
        case full
        /// Every commit but the last ones; never a damaged file. For projections.
        case normal
    }

    public let path: String
    public let pool: DatabasePool

    /// Opens or creates the database and brings its schema up to date. One that holds something is copied before it is
    /// migrated (`<path>.before-<migration>`, the newest three are kept), so that the version before can have it back.
    ///
    /// - Parameter keepsBackups: false for a projection, which is made anew from what it shows.
    /// - Throws: ``StateError`` with `wide_mode`, `wrong_owner`, `newer_version` (it holds migrations unknown here),
    ///   `damaged`, `disk_full`, `read_only`.
    public init(
        _ path: String, migrations: [Migration], durability: Durability = .full, readers: Int = 4, keepsBackups: Bool = true
    ) throws(StateError) {
        if access(path, F_OK) == 0 {
            for suffix in ["", "-wal", "-shm"] where access(path + suffix, F_OK) == 0 { try PrivateFile.check(path + suffix) }
        } else {
            // SQLite gives its other files the mode of this one.
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard descriptor >= 0 else { throw .system(errno, "create", path) }
            close(descriptor)
        }
        self.path = path
        do {
            pool = try Self.connect(path, migrations, durability, readers, keepsBackups)
        } catch let error as StateError {
            throw error
        } catch {
            throw Self.translate(error, path)
        }
    }

    private static func connect(
        _ path: String, _ migrations: [Migration], _ durability: Durability, _ readers: Int, _ keepsBackups: Bool
    ) throws -> DatabasePool {
        var configuration = Configuration()
        configuration.maximumReaderCount = readers
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF")
        }
        let pool = try DatabasePool(path: path, configuration: configuration)
        var migrator = DatabaseMigrator()
        for migration in migrations {
            migrator.registerMigration(migration.name) { database in try migration.apply(database) }
        }
        // Asked before anything is written: a newer schema is left alone.
        let (isNewer, pending) = try pool.read { database in
            let applied = try migrator.appliedIdentifiers(database)
            return (try migrator.hasBeenSuperseded(database), applied.isEmpty ? nil : migrations.first { !applied.contains($0.name) })
        }
        if isNewer {
            try pool.close()
            throw newer(path, readable: MigrationBackup.readable(of: path, migrator))
        }
        if let pending, keepsBackups {
            do {
                try MigrationBackup.take(pool, of: path, before: pending.name)
            } catch {
                var failure = translate(error, path)
                failure.message = "\(path) was not migrated, since it cannot be backed up first: \(failure.message)"
                throw failure
            }
        }
        // GRDB sets NORMAL when it turns WAL on, after `prepareDatabase`: hence here, and asserted.
        try pool.writeWithoutTransaction { database in
            let wanted = durability == .full ? 2 : 1
            try database.execute(sql: "PRAGMA synchronous = \(wanted)")
            let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode")
            let level = try Int.fetchOne(database, sql: "PRAGMA synchronous")
            guard mode == "wal", level == wanted else {
                throw StateError(.failed, "\(path): SQLite gave journal mode \(mode ?? "none"), synchronous \(level ?? -1)")
            }
        }
        try migrator.migrate(pool)
        return pool
    }

    private static func newer(_ path: String, readable backup: String?) -> StateError {
        guard let backup else {
            return StateError(
                .newerVersion, "\(path) was written by a newer berth",
                remedy: "run that version, restore a backup of this one's, or use another state directory")
        }
        return StateError(
            .newerVersion, "\(path) was written by a newer berth; \(backup) is how it was before the upgrade, and this version reads it",
            remedy: "run the newer version, or go back and lose what was written since: "
                + "rm -f \(word(path + "-wal")) \(word(path + "-shm")) && mv \(word(backup)) \(word(path))")
    }

    /// As a shell takes it for one word.
    private static func word(_ path: String) -> String {
        let isPlain = path.utf8.allSatisfy { byte in
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || "-_./:@%+,".utf8.contains(byte)
        }
        return isPlain ? path : "'" + path.replacing("'", with: "'\\''") + "'"
    }

    /// A database failure as a typed error; for callers that report one.
    public static func translate(_ error: any Error, _ path: String) -> StateError {
        if let error = error as? StateError { return error }
        guard let error = error as? DatabaseError else { return StateError(.failed, "\(path): \(error)") }
        switch error.resultCode {
        case .SQLITE_NOTADB, .SQLITE_CORRUPT:
            return StateError(.damaged, "\(path) is damaged", remedy: "restore it from a backup")
        case .SQLITE_FULL: return StateError(.diskFull, "\(path): no space left", remedy: "free space on its disk")
        case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_AUTH:
            return StateError(.readOnly, "\(path) cannot be opened for writing", remedy: "make it writable for uid \(geteuid())")
        default: return StateError(.failed, "\(path): \(error.resultCode): \(error.message ?? "no message")")
        }
    }
}
