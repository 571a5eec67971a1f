import GRDB
import Glibc

/// Consistent copies of databases that others may be writing, and checks of such a copy.
public enum DatabaseCopy {
    /// Copies a database file that another process may have open; see ``take(_:to:)``.
    ///
    /// - Throws: ``StateError``, also where it has no tables of Berth's or of a newer one.
    public static func take(of path: String, migrations: [Migration], to copy: String) throws(StateError) {
        try PrivateFile.check(path)
        do {
            let queue = try reader(path)
            try check(queue, path, migrations)
            try take(queue, to: copy)
            try queue.close()
        } catch {
            throw DatabaseFile.translate(error, path)
        }
    }

    /// Checks a copy from a backup, and reads from it: pages, references between rows, a schema that this program knows or can
    /// bring forward. Nobody else may have it open.
    ///
    /// - Throws: ``StateError`` with `damaged`, `newer_version` or what `body` throws.
    public static func read<T>(_ path: String, migrations: [Migration], _ body: (Database) throws -> T) throws -> T {
        try PrivateFile.check(path)
        do {
            let queue = try reader(path)
            defer { try? queue.close() }
            try check(queue, path, migrations)
            return try queue.read { database in
                let verdict = try String.fetchOne(database, sql: "PRAGMA integrity_check(1)")
                guard verdict == "ok" else { throw StateError(.damaged, "\(path) is damaged: \(verdict ?? "")") }
                guard try Row.fetchOne(database, sql: "PRAGMA foreign_key_check") == nil else {
                    throw StateError(.damaged, "\(path) is damaged: a row names another that is not there")
                }
                return try body(database)
            }
        } catch let error as DatabaseError {
            throw DatabaseFile.translate(error, path)
        }
    }

    /// Copies by SQLite's online backup: writers go on meanwhile, and the copy is the database at one moment; one file, 0600, on
    /// the disk when this returns.
    ///
    /// - Parameter path: must not exist. What a failure left there is the caller's to remove.
    /// - Throws: ``StateError`` with `disk_full`, `damaged` (the copy's pages do not hold) or another kind.
    static func take(_ source: some DatabaseReader, to path: String) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw StateError.system(errno, "create", path) }
        defer { close(descriptor) }
        do {
            let copy = try DatabaseQueue(path: path)
            try source.backup(to: copy)
            try copy.writeWithoutTransaction { database in
                // The source's write-ahead mode was copied with its first page; the copy is to be one file.
                _ = try String.fetchOne(database, sql: "PRAGMA journal_mode = DELETE")
                let verdict = try String.fetchOne(database, sql: "PRAGMA quick_check(1)")
                guard verdict == "ok" else { throw StateError(.damaged, "\(path): the copy is damaged: \(verdict ?? "")") }
            }
            try copy.close()
        } catch {
            throw DatabaseFile.translate(error, path)
        }
        guard fsync(descriptor) == 0 else { throw StateError.system(errno, "write", path) }
    }

    private static func reader(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")
        }
        return try DatabaseQueue(path: path, configuration: configuration)
    }

    private static func check(_ queue: DatabaseQueue, _ path: String, _ migrations: [Migration]) throws {
        var migrator = DatabaseMigrator()
        for migration in migrations { migrator.registerMigration(migration.name) { database in try migration.apply(database) } }
        try queue.read { database in
            guard try !migrator.appliedIdentifiers(database).isEmpty else {
                throw StateError(.damaged, "\(path) holds no tables of Berth's")
            }
            guard try !migrator.hasBeenSuperseded(database) else {
                throw StateError(.newerVersion, "\(path) was written by a newer berth", remedy: "use that version")
            }
        }
    }
}
