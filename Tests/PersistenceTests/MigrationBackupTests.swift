import Foundation
import GRDB
import Persistence
import TestSupport
import Testing

/// What is kept of a database before a newer version migrates it, and how an older one finds it.
@Suite("migration backup")
struct MigrationBackupTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private static func step(_ number: Int) -> Migration {
        Migration("v\(number): column c\(number)") { database in
            try database.execute(sql: number == 1 ? "CREATE TABLE t (c1 TEXT)" : "ALTER TABLE t ADD COLUMN c\(number) TEXT")
        }
    }

    private static func steps(_ count: Int) -> [Migration] { (1...count).map(step) }

    private func backups() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: scratch.path).filter { $0.hasPrefix("x.db.") }.sorted()
    }

    /// The rows and columns of a database file, read as it lies there.
    private static func content(_ path: String) throws -> (rows: [String], columns: [String]) {
        var configuration = Configuration()
        configuration.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? queue.close() }
        return try queue.read { database in
            (try String.fetchAll(database, sql: "SELECT c1 FROM t ORDER BY c1"), try database.columns(in: "t").map(\.name))
        }
    }

    private static func refusal(_ path: String, _ count: Int) -> StateError? {
        do {
            try DatabaseFile(path, migrations: steps(count)).pool.close()
            return nil
        } catch {
            return error as? StateError
        }
    }

    @Test func aDatabaseIsCopiedBeforeItIsMigrated() async throws {
        let path = scratch.file("x.db")
        // Another connection holds what it wrote in the write-ahead log, which a copy of the file alone would miss.
        let old = try DatabaseFile(path, migrations: Self.steps(1))
        #expect(try backups().isEmpty, "there was nothing to keep")
        try await old.pool.write { try $0.execute(sql: "INSERT INTO t VALUES ('kept')") }
        let new = try DatabaseFile(path, migrations: Self.steps(2))
        #expect(try backups() == ["x.db.before-v2-column-c2"])
        #expect(try scratch.mode("x.db.before-v2-column-c2") == 0o600)
        let copy = try Self.content(scratch.file("x.db.before-v2-column-c2"))
        #expect(copy.rows == ["kept"] && copy.columns == ["c1"])
        #expect(try await new.pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t WHERE c2 IS NULL") } == 1)
        try new.pool.close()
        try old.pool.close()
        try DatabaseFile(path, migrations: Self.steps(2)).pool.close()
        #expect(try backups().count == 1, "nothing was migrated")
    }

    @Test func theNewestThreeAreKept() throws {
        let path = scratch.file("x.db")
        // What a kill left of a copy is no copy.
        try PrivateFile.create(path + ".unfinished-copy", Array("half".utf8))
        for count in 1...6 {
            try DatabaseFile(path, migrations: Self.steps(count)).pool.close()
            // Told apart by their time, which is as fine as the file system's clock.
            for (index, name) in try backups().filter({ $0.hasPrefix("x.db.before-") }).enumerated() {
                var times = [timeval(tv_sec: 1_700_000_000 + index, tv_usec: 0), timeval(tv_sec: 1_700_000_000 + index, tv_usec: 0)]
                utimes(scratch.file(name), &times)
            }
        }
        #expect(try backups() == ["x.db.before-v4-column-c4", "x.db.before-v5-column-c5", "x.db.before-v6-column-c6"])
    }

    @Test func aProjectionKeepsNone() throws {
        let path = scratch.file("x.db")
        for count in 1...2 { try DatabaseFile(path, migrations: Self.steps(count), keepsBackups: false).pool.close() }
        #expect(try backups().isEmpty)
    }

    @Test func anOlderVersionNamesTheOneThatItReads() async throws {
        let path = scratch.file("x.db")
        try DatabaseFile(path, migrations: Self.steps(1)).pool.close()
        let second = try DatabaseFile(path, migrations: Self.steps(2))
        try await second.pool.write { try $0.execute(sql: "INSERT INTO t VALUES ('of two', NULL)") }
        try second.pool.close()
        let third = try DatabaseFile(path, migrations: Self.steps(3))
        try await third.pool.write { try $0.execute(sql: "INSERT INTO t VALUES ('of three', NULL, NULL)") }
        try third.pool.close()
        let wanted = scratch.file("x.db.before-v3-column-c3")
        // Newer ones that it cannot read are passed over: another's file, a damaged one, one that somebody else could have made.
        try PrivateFile.create(scratch.file("x.db.before-v9"), Array(repeating: 0x61, count: 8_192))
        try FileManager.default.copyItem(atPath: wanted, toPath: scratch.file("x.db.before-v8"))
        chmod(scratch.file("x.db.before-v8"), 0o644)
        try FileManager.default.createSymbolicLink(atPath: scratch.file("x.db.before-v7"), withDestinationPath: wanted)

        let refusal = try #require(Self.refusal(path, 2))
        #expect(refusal.code == .newerVersion)
        #expect(refusal.message == "\(path) was written by a newer berth; \(wanted) is how it was before the upgrade, and this version reads it")
        #expect(try Self.content(path).rows == ["of three", "of two"], "left alone")

        // The remedy is a command, and it works.
        let command = try #require(refusal.remedy?.split(separator: ": ").last)
        let shell = try await Command.run(["/bin/sh", "-ec", String(command)])
        #expect(shell.status == 0, "\(shell.errors)")
        let again = try DatabaseFile(path, migrations: Self.steps(2))
        #expect(try await again.pool.read { try String.fetchAll($0, sql: "SELECT c1 FROM t") } == ["of two"])
        try again.pool.close()

        // Version one has a copy of its own; without any, it says what else there is.
        #expect(Self.refusal(path, 1)?.message.contains("x.db.before-v2-column-c2 is how it was") == true)
        for name in try backups() { unlink(scratch.file(name)) }
        let bare = try #require(Self.refusal(path, 1))
        #expect(bare.message == "\(path) was written by a newer berth" && bare.remedy?.contains("restore a backup") == true)
    }

    @Test func aPathThatAShellWouldSplitIsQuoted() async throws {
        let folder = scratch.file("it's a folder")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let path = folder + "/x.db"
        for count in 1...2 { try DatabaseFile(path, migrations: Self.steps(count)).pool.close() }
        let command = try #require(Self.refusal(path, 1)?.remedy?.split(separator: ": ").last)
        let shell = try await Command.run(["/bin/sh", "-ec", String(command)])
        #expect(shell.status == 0 && Self.refusal(path, 1) == nil, "\(shell.errors)")
    }

    @Test(.enabled(if: SmallDisk.isPossible, "a small file system needs root"))
    func withoutRoomForTheCopyNothingIsMigrated() async throws {
        let found = try await SmallDisk.run(bytes: 8 << 20) { folder in
            let path = folder + "/x.db"
            let old = try DatabaseFile(path, migrations: Self.steps(1))
            try old.pool.writeWithoutTransaction { database in
                try database.execute(sql: "INSERT INTO t VALUES (hex(zeroblob(1200000)))")
                try database.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
            }
            try old.pool.close()
            try Data(count: 4 << 20).write(to: URL(fileURLWithPath: folder + "/filler"))
            let refusal = Self.refusal(path, 2)
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm") }.sorted()
            let columns = try Self.content(path).columns
            unlink(folder + "/filler")
            return (refusal, names, columns, Self.refusal(path, 2) == nil)
        }
        #expect(found.0?.code == .diskFull && found.0?.message.contains("was not migrated") == true, "\(found.0?.description ?? "no refusal")")
        #expect(found.1 == ["filler", "x.db"] && found.2 == ["c1"] && found.3, "\(found)")
    }
}
