import GRDB
import Sealing

/// Legacy client sessions and pins, which survive a gateway restart.
struct SessionStore: Sendable {
    let database: any DatabaseWriter

    func insert(_ session: ClientSession) async throws {
        try await database.write { db in
            try db.execute(
                sql: """
                    INSERT INTO sessions (id, principal, virtualMCP, protocolVersion, capabilities, clientInfo, createdAt, usedAt)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    session.id, session.principal, session.virtualMCP, session.protocolVersion, session.capabilities, session.clientInfo,
                    session.createdAt, session.createdAt,
                ])
        }
    }

    func session(id: String) async throws -> ClientSession? {
        try await database.write { db in
            try db.execute(sql: "UPDATE sessions SET usedAt = ? WHERE id = ?", arguments: [WallClock.milliseconds(), id])
            guard db.changesCount == 1 else { return nil }
            return try Row.fetchOne(db, sql: "SELECT * FROM sessions WHERE id = ?", arguments: [id]).map { row in
                ClientSession(
                    id: row["id"], principal: row["principal"], virtualMCP: row["virtualMCP"], protocolVersion: row["protocolVersion"],
                    capabilities: row["capabilities"], clientInfo: row["clientInfo"], createdAt: row["createdAt"])
            }
        }
    }

    func end(id: String) async throws {
        try await database.write { db in
            try db.execute(sql: "DELETE FROM sessions WHERE id = ?", arguments: [id])
            try db.execute(sql: "DELETE FROM pins WHERE session = ?", arguments: [id])
        }
    }

    /// Forgets sessions that no gateway took into memory since `time`; while one is there it ends the idle ones itself.
    func prune(before time: Int64) async throws {
        try await database.write { db in
            try db.execute(sql: "DELETE FROM pins WHERE session IN (SELECT id FROM sessions WHERE usedAt < ?)", arguments: [time])
            try db.execute(sql: "DELETE FROM sessions WHERE usedAt < ?", arguments: [time])
        }
    }

    func pin(session: String, connector: String) async throws -> Pin? {
        try await database.read { db in try Self.fetchPin(db, session, connector) }
    }

    /// Inserts unless a row is there already; the row that stands is answered.
    func pin(_ pin: Pin) async throws -> Pin {
        try await database.write { db in
            try db.execute(
                sql: "INSERT INTO pins (session, connector, epoch, machine, boot) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                arguments: [pin.session, pin.connector, pin.epoch, pin.machine, pin.boot])
            return try Self.fetchPin(db, pin.session, pin.connector) ?? pin
        }
    }

    /// Moves the pin where its epoch is still `epoch`; the row that stands is answered.
    func repin(_ pin: Pin, ifEpoch epoch: Int) async throws -> Pin {
        try await database.write { db in
            try db.execute(
                sql: "UPDATE pins SET epoch = ?, machine = ?, boot = ? WHERE session = ? AND connector = ? AND epoch = ?",
                arguments: [pin.epoch, pin.machine, pin.boot, pin.session, pin.connector, epoch])
            return try Self.fetchPin(db, pin.session, pin.connector) ?? pin
        }
    }

    private static func fetchPin(_ db: GRDB.Database, _ session: String, _ connector: String) throws -> Pin? {
        try Row.fetchOne(db, sql: "SELECT * FROM pins WHERE session = ? AND connector = ?", arguments: [session, connector]).map { row in
            Pin(session: row["session"], connector: row["connector"], epoch: row["epoch"], machine: row["machine"], boot: row["boot"])
        }
    }
}
