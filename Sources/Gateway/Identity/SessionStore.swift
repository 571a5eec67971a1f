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

    /// Its owner's session. One that is not there, or another's, costs a look and no write; one that is there is marked as
    /// used, once in a while.
    func session(id: String, principal: String, virtualMCP: String) async throws -> ClientSession? {
        let arguments: StatementArguments = ["id": id, "principal": principal, "virtualMCP": virtualMCP]
        let found = try await database.read { db in
            try Row.fetchOne(db, sql: "SELECT * FROM sessions WHERE \(Self.isOwners)", arguments: arguments).map { row in
                let session = ClientSession(
                    id: row["id"], principal: row["principal"], virtualMCP: row["virtualMCP"], protocolVersion: row["protocolVersion"],
                    capabilities: row["capabilities"], clientInfo: row["clientInfo"], createdAt: row["createdAt"])
                return (session: session, usedAt: row["usedAt"] as Int64)
            }
        }
        guard let found else { return nil }
        let now = WallClock.milliseconds()
        guard found.usedAt < now - Self.usePrecision else { return found.session }
        return try await database.write { db in
            try db.execute(sql: "UPDATE sessions SET usedAt = ? WHERE id = ?", arguments: [now, id])
            // It may have ended since.
            return db.changesCount == 1 ? found.session : nil
        }
    }

    private static let isOwners = "id = :id AND principal = :principal AND virtualMCP = :virtualMCP"
    /// In milliseconds: how exactly a row tells when it was last asked for.
    private static let usePrecision: Int64 = 60_000

    /// Marks sessions that are known in memory as used.
    func used(_ ids: [String]) async throws {
        let now = WallClock.milliseconds()
        try await database.write { db in
            let statement = try db.makeStatement(sql: "UPDATE sessions SET usedAt = ? WHERE id = ?")
            for id in ids { try statement.execute(arguments: [now, id]) }
        }
    }

    func end(id: String) async throws {
        try await database.write { db in
            try db.execute(sql: "DELETE FROM sessions WHERE id = ?", arguments: [id])
            try db.execute(sql: "DELETE FROM pins WHERE session = ?", arguments: [id])
        }
    }

    /// Forgets sessions that were not used since `time` (while a gateway is there it ends the idle ones itself), and
    /// older pins without a row of their session: a modern client's, or what a kill left.
    func prune(before time: Int64) async throws {
        try await database.write { db in
            try db.execute(sql: "DELETE FROM pins WHERE session IN (SELECT id FROM sessions WHERE usedAt < ?)", arguments: [time])
            try db.execute(sql: "DELETE FROM sessions WHERE usedAt < ?", arguments: [time])
            try db.execute(sql: "DELETE FROM pins WHERE takenAt < ? AND session NOT IN (SELECT id FROM sessions)", arguments: [time])
        }
    }

    func pin(session: String, connector: String) async throws -> Pin? {
        try await database.read { db in try Self.fetchPin(db, session, connector) }
    }

    /// Inserts unless a row is there already; the row that stands is answered. A legacy session that has ended meanwhile
    /// gets none, for nobody would remove it.
    func pin(_ pin: Pin) async throws -> Pin {
        try await database.write { db in
            let hasRow = ClientSession.isID(pin.session)
            if try hasRow && Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = ?)", arguments: [pin.session]) != true {
                return pin
            }
            try db.execute(
                sql: "INSERT INTO pins (session, connector, epoch, machine, boot, takenAt) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                arguments: [pin.session, pin.connector, pin.epoch, pin.machine, pin.boot, WallClock.milliseconds()])
            return try Self.fetchPin(db, pin.session, pin.connector) ?? pin
        }
    }

    /// Moves the pin where its epoch is still `epoch`; the row that stands is answered.
    func repin(_ pin: Pin, ifEpoch epoch: Int) async throws -> Pin {
        try await database.write { db in
            try db.execute(
                sql: "UPDATE pins SET epoch = ?, machine = ?, boot = ?, takenAt = ? WHERE session = ? AND connector = ? AND epoch = ?",
                arguments: [pin.epoch, pin.machine, pin.boot, WallClock.milliseconds(), pin.session, pin.connector, epoch])
            return try Self.fetchPin(db, pin.session, pin.connector) ?? pin
        }
    }

    private static func fetchPin(_ db: GRDB.Database, _ session: String, _ connector: String) throws -> Pin? {
        try Row.fetchOne(db, sql: "SELECT * FROM pins WHERE session = ? AND connector = ?", arguments: [session, connector]).map { row in
            Pin(session: row["session"], connector: row["connector"], epoch: row["epoch"], machine: row["machine"], boot: row["boot"])
        }
    }
}

extension ClientSession {
    /// Whether a text is an id of a legacy session, 128 random bits: those have a row; a modern client's key has not.
    static func isID(_ text: String) -> Bool { Base64URL.decode(text)?.count == 16 }
}
