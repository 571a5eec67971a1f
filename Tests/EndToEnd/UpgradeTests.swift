import Foundation
import TestSupport
import Testing

/// A newer version of Berth takes over the state and the machines of an older one, and the older one gets them back.
///
/// The older version's state is this one's, taken back by a migration; the newer version's is this one's with a
/// migration that nobody here knows.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct UpgradeTests {
    private static let gatewayCopy = "gateway/gateway.db.before-v2-when-a-pin-was-taken"
    private static let orchestratorCopy = "orchestrator/orchestrator.db.before-3-since-when-a-state-holds-versions-leases"

    @Test func thereAndBack() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("fixture", fixture: "fixture.py")
            try await berth.json(["vmcp", "create", "office", "fixture"])
            let alice = try await berth.token(for: "alice", vmcp: "office")
            let client = RawClient(url: alice.url, token: alice.token)
            #expect(try await client.call("echo", ["text": "before"]).text == "before")
            let machine = try await berth.machine()

            try await Self.leave(berth)
            try await Self.sql(
                berth.state + "/gateway/gateway.db", "ALTER TABLE pins DROP COLUMN takenAt", "DELETE FROM grdb_migrations WHERE identifier LIKE 'v2%'")
            try await Self.sql(
                berth.state + "/orchestrator/orchestrator.db", "ALTER TABLE machines DROP COLUMN state_since",
                "ALTER TABLE machines DROP COLUMN cordoned", "ALTER TABLE machines DROP COLUMN fallback", "ALTER TABLE events DROP COLUMN request",
                "DROP TABLE versions", "DROP TABLE leases", "DELETE FROM grdb_migrations WHERE identifier LIKE '3%'")
            try await berth.up()
            #expect(try await berth.machine() == machine, "adopted: \(berth.log)")
            #expect(try await client.call("echo", ["text": "after"]).text == "after")
            let gateway = try #require(getpwnam("berth")?.pointee.pw_uid)
            for (path, uid) in [(Self.gatewayCopy, gateway), (Self.orchestratorCopy, 0)] {
                var info = stat()
                #expect(lstat(berth.state + "/" + path, &info) == 0, "\(path)")
                #expect(info.st_mode & 0o7777 == 0o600 && info.st_uid == uid, "\(path) \(info.st_mode) \(info.st_uid)")
            }

            // What the newer version wrote is lost on the way back, and nothing else.
            let bob = try await berth.token(for: "bob", vmcp: "office")
            try await Self.leave(berth)
            for path in ["gateway/gateway.db", "orchestrator/orchestrator.db"] {
                try await Self.sql(
                    berth.state + "/" + path, "CREATE TABLE of_the_future (a)", "INSERT INTO grdb_migrations VALUES ('v9: of the future')")
            }
            for (path, copy) in [("orchestrator/orchestrator.db", Self.orchestratorCopy), ("gateway/gateway.db", Self.gatewayCopy)] {
                let up = try await berth.run(["up", "--listen", "127.0.0.1:\(berth.port)", "--detach"])
                let line = up.errors.split(separator: "\n").last.map(String.init) ?? ""
                #expect(up.status == 1 && line.contains("\(berth.state)/\(path) was written by a newer berth"), "\(line)")
                #expect(line.contains("\(berth.state)/\(copy) is how it was before the upgrade"), "\(line)")
                let command = try #require(line.split(separator: ": ").last.map(String.init))
                #expect(command.hasPrefix("rm -f "), "\(line)")
                let shell = try await Command.run(["/bin/sh", "-ec", command])
                #expect(shell.status == 0, "\(command): \(shell.errors)")
            }
            try await berth.up()
            #expect(try await berth.machine() == machine, "adopted again: \(berth.log)")
            #expect(try await client.call("echo", ["text": "back"]).text == "back")
            let tokens = try await berth.json(["token", "list"])["tokens"] as? [[String: Any]] ?? []
            let ids = tokens.compactMap { $0["id"] as? String }
            #expect(ids.contains(alice.id) && !ids.contains(bob.id), "\(ids)")
        }
    }

    /// Berth ends as for an upgrade: its machines live on.
    private static func leave(_ berth: Berth) async throws {
        let supervisor = try berth.pid(of: "supervise")
        kill(supervisor, SIGTERM)
        let hasEnded = await eventually {
            ["supervise", "gateway", "orchestrator"].allSatisfy { (try? berth.pid(of: $0)) == nil }
        }
        #expect(hasEnded, "\(berth.log)")
    }

    /// Changes a database that nobody has open, as its owner would.
    private static func sql(_ path: String, _ statements: String...) async throws {
        let program = """
            import sqlite3, sys
            database = sqlite3.connect(sys.argv[1])
            for statement in sys.argv[2:]: database.execute(statement)
            database.commit()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.close()
            """
        let result = try await Command.run(["/usr/bin/python3", "-c", program, path] + statements)
        guard result.status == 0 else { throw Trouble("\(path): \(result.errors)") }
        // What root made beside it would not be its owner's.
        for suffix in ["-wal", "-shm"] { unlink(path + suffix) }
    }
}
