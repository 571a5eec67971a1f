import Foundation
import GRDB
import Persistence
import Testing

@Suite("database file")
struct DatabaseFileTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private static let first = Migration("first") { try $0.execute(sql: "CREATE TABLE t (a INTEGER)") }
    private static let second = Migration("second") { try $0.execute(sql: "ALTER TABLE t ADD COLUMN b TEXT") }

    @Test func isPrivateDurableAndMigratedForward() async throws {
        let path = scratch.file("x.db")
        let file = try DatabaseFile(path, migrations: [Self.first])
        try await file.pool.write { try $0.execute(sql: "INSERT INTO t VALUES (1)") }
        for name in ["x.db", "x.db-wal", "x.db-shm"] { #expect(try scratch.mode(name) == 0o600, "\(name)") }
        let level = try await file.pool.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") }
        #expect(level == 2)
        try file.pool.close()
        let migrated = try DatabaseFile(path, migrations: [Self.first, Self.second], durability: .normal)
        #expect(try await migrated.pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t WHERE b IS NULL") } == 1)
    }

    private func code(_ path: String, _ migrations: [Migration]) -> StateError.Code? {
        do {
            _ = try DatabaseFile(path, migrations: migrations)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func aNewerSchemaIsLeftAlone() throws {
        let path = scratch.file("x.db")
        try DatabaseFile(path, migrations: [Self.first, Self.second]).pool.close()
        #expect(code(path, [Self.first]) == .newerVersion)
        #expect(code(path, [Self.first, Self.second]) == nil)
    }

    @Test func wideAndDamagedFilesAreNamed() throws {
        let path = scratch.file("x.db")
        try DatabaseFile(path, migrations: [Self.first]).pool.close()
        chmod(path, 0o644)
        #expect(code(path, [Self.first]) == .wideMode)
        try PrivateFile.replace(path, Array(repeating: 0x61, count: 8_192))
        // The write-ahead log still holds every page.
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        #expect(code(path, [Self.first]) == .damaged)
        #expect(code(scratch.file("absent/x.db"), []) == .failed)
    }

    @Test func aFailedMigrationLeavesTheFormerState() throws {
        let path = scratch.file("x.db")
        try DatabaseFile(path, migrations: [Self.first]).pool.close()
        let broken = Migration("broken") { try $0.execute(sql: "CREATE TABLE u (a); SELECT nonsense") }
        #expect(code(path, [Self.first, broken]) == .failed)
        #expect(code(path, [Self.first, Self.second]) == nil)
    }
}
