import FoundationEssentials
import GRDB
import MachineAPI
import Persistence
import Sealing

/// `orchestrator.db`: the rows that own everything the host holds of machines.
struct MachineStore: Sendable {
    let database: DatabaseFile
    let keys: KeyRing
    var quota = HostQuota()

    /// How much history a machine keeps.
    static let eventLimit = 200

    func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        do {
            return try await database.pool.read(body)
        } catch let error as DatabaseError {
            throw DatabaseFile.translate(error, database.path)
        }
    }

    func write<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        do {
            return try await database.pool.write(body)
        } catch let error as DatabaseError {
            throw DatabaseFile.translate(error, database.path)
        }
    }

    // MARK: Machines

    /// - Returns: false when the app has a machine of that name.
    /// - Throws: ``MachineFailure`` when the host takes no more.
    func insert(_ machine: MachineRecord, event: MachineEvent) async throws -> Bool {
        let config = try Self.encode(machine.config)
        return try await write { [quota] database in
            let isTaken = try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM machines WHERE app = ? AND name = ? AND state != 'destroyed')",
                arguments: [machine.app, machine.name])
            guard isTaken == false else { return false }
            try quota.checkMachine(database)
            try database.execute(
                sql: """
                    INSERT INTO machines (id, app, name, instance, config, state, desired, created_at, updated_at, state_since)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    machine.id, machine.app, machine.name, machine.instance, config, machine.state.rawValue, machine.desired.rawValue,
                    machine.createdAt, machine.updatedAt, machine.createdAt,
                ])
            try Self.insertVersion(machine.instance, config, of: machine.id, database)
            try Self.insert(event, of: machine.id, database)
            try Self.remember(machine, database)
            return true
        }
    }

    /// Writes what the state machine decided, with the events that tell of it, in one transaction.
    func save(_ machine: MachineRecord, events: [MachineEvent]) async throws {
        let config = try Self.encode(machine.config)
        let fallback = try machine.fallback.map { try Self.encode($0) }
        try await write { database in
            try database.execute(
                sql: """
                    UPDATE machines SET state = ?, desired = ?, attempts = ?, was_ready = ?, reason = ?, updated_at = ?, state_since = ?,
                        instance = ?, config = ?, cordoned = ?, fallback = ? WHERE id = ?
                    """,
                arguments: [
                    machine.state.rawValue, machine.desired.rawValue, machine.attempts, machine.wasReady, machine.reason, machine.updatedAt,
                    machine.stateSince, machine.instance, config, machine.isCordoned, fallback, machine.id,
                ])
            try Self.insertVersion(machine.instance, config, of: machine.id, database)
            for event in events { try Self.insert(event, of: machine.id, database) }
            if machine.state == .destroyed {
                try database.execute(sql: "DELETE FROM leases WHERE machine = ?", arguments: [machine.id])
            }
            if machine.state == .destroyed || events.contains(where: { $0.type == "update" }) { try Self.remember(machine, database) }
            try Self.prune(eventsOf: machine.id, database)
        }
    }

    static func prune(eventsOf machine: String, _ database: Database) throws {
        try database.execute(
            sql: """
                DELETE FROM events WHERE machine = ?1
                  AND number < (SELECT number FROM events WHERE machine = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)
                """, arguments: [machine, eventLimit - 1])
    }

    func machine(_ id: String, app: String? = nil) async throws -> MachineRecord? {
        try await read { database in
            try Row.fetchOne(
                database, sql: Self.selectMachines + " WHERE machines.id = ?1 AND (?2 IS NULL OR app = ?2)", arguments: [id, app]
            ).map(Self.machine)
        }
    }

    func machine(named name: String, app: String) async throws -> MachineRecord? {
        try await read { database in
            try Row.fetchOne(
                database, sql: Self.selectMachines + " WHERE app = ? AND name = ? AND state != 'destroyed'", arguments: [app, name]
            ).map(Self.machine)
        }
    }

    /// Oldest first.
    func machines(app: String? = nil, org: String? = nil, includesDestroyed: Bool = false) async throws -> [MachineRecord] {
        try await read { database in
            let sql =
                Self.selectMachines + """
                     WHERE (?1 IS NULL OR app = ?1) AND (?2 IS NULL OR app IN (SELECT name FROM apps WHERE org = ?2))
                       AND (?3 OR state != 'destroyed')
                     ORDER BY machines.created_at, machines.id
                    """
            return try Row.fetchAll(database, sql: sql, arguments: [app, org, includesDestroyed]).map(Self.machine)
        }
    }

    /// Newest first.
    func events(of machine: String, limit: Int) async throws -> [MachineEvent] {
        try await read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM events WHERE machine = ? ORDER BY number DESC LIMIT ?", arguments: [machine, limit]
            ).map { row in
                let request: String? = row["request"]
                return MachineEvent(
                    id: row["id"], type: row["type"], status: row["status"], source: row["source"], timestamp: row["timestamp"],
                    reason: row["reason"], request: try request.map { try JSONDecoder().decode(MachineEvent.Request.self, from: Data($0.utf8)) })
            }
        }
    }

    /// Of its last start that came to its end, whose event may have been pushed out by two hundred others.
    func lastStart(of machine: String) async throws -> StartStages? {
        let request = try await read { database in
            try String.fetchOne(
                database,
                sql: """
                    SELECT request FROM events WHERE machine = ? AND type = 'start' AND status = 'started' AND request IS NOT NULL
                    ORDER BY number DESC LIMIT 1
                    """, arguments: [machine])
        }
        return try request.map { try JSONDecoder().decode(MachineEvent.Request.self, from: Data($0.utf8)) }?.start_event
    }

    /// Forgets machines that were destroyed before then.
    func prune(destroyedBefore time: Int64) async throws {
        try await write { database in
            try database.execute(sql: "DELETE FROM machines WHERE state = 'destroyed' AND updated_at < ?", arguments: [time])
        }
    }

    // MARK: Boots

    /// Writes the row that owns a boot about to be made, and takes the lowest free range of user ids for it.
    func beginBoot(machine: String, boot: String, kind: BootRecord.Kind, door: String?, at now: Int64) async throws -> BootRecord {
        try await write { database in
            let taken = Set(try Int.fetchAll(database, sql: "SELECT slot FROM boots"))
            var slot = 0
            while taken.contains(slot) { slot += 1 }
            guard slot < UserIDs.slotsPerInstallation else {
                throw StateError(.failed, "no range of user ids is free: \(slot) machines", remedy: "stop machines")
            }
            try database.execute(
                sql: "INSERT INTO boots (boot, machine, kind, slot, door, created_at) VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [boot, machine, kind.rawValue, slot, door, now])
            return BootRecord(boot: boot, machine: machine, kind: kind, slot: slot, door: door, createdAt: now)
        }
    }

    /// Nothing is left of the boot on the host.
    func endBoot(_ boot: String) async throws {
        try await write { database in try database.execute(sql: "DELETE FROM boots WHERE boot = ?", arguments: [boot]) }
    }

    func boots() async throws -> [BootRecord] {
        try await read { database in try Row.fetchAll(database, sql: "SELECT * FROM boots").compactMap { Self.boot($0) } }
    }

    // MARK: Settings

    func setting(_ name: String) async throws -> [UInt8]? {
        try await read { database in
            try Data.fetchOne(database, sql: "SELECT value FROM settings WHERE name = ?", arguments: [name]).map { Array($0) }
        }
    }

    func setSetting(_ name: String, _ value: [UInt8]) async throws {
        let value = Data(value)
        try await write { database in
            try database.execute(
                sql: "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", arguments: [name, value])
        }
    }

    // MARK: Rows

    private static let selectMachines = """
        SELECT machines.*, boots.boot, boots.machine, boots.kind, boots.slot, boots.door, boots.created_at AS boot_created_at
        FROM machines LEFT JOIN boots ON boots.machine = machines.id
        """

    static func insert(_ event: MachineEvent, of machine: String, _ database: Database) throws {
        try database.execute(
            sql: "INSERT INTO events (id, machine, type, status, source, timestamp, reason, request) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            arguments: [
                event.id, machine, event.type, event.status, event.source, event.timestamp, event.reason, try event.request.map { try encode($0) },
            ])
    }

    private static func boot(_ row: Row, createdAt: String = "created_at") -> BootRecord? {
        guard let boot: String = row["boot"] else { return nil }
        return BootRecord(
            boot: boot, machine: row["machine"], kind: BootRecord.Kind(rawValue: row["kind"]) ?? .job, slot: row["slot"], door: row["door"],
            createdAt: row[createdAt])
    }

    private static func machine(_ row: Row) throws -> MachineRecord {
        let text: String = row["config"]
        let config = try JSONDecoder().decode(MachineConfig.self, from: Data(text.utf8))
        return MachineRecord(
            id: row["id"], app: row["app"], name: row["name"], instance: row["instance"], config: config,
            state: MachineState(rawValue: row["state"]) ?? .failed, desired: DesiredState(rawValue: row["desired"]) ?? .stopped,
            attempts: row["attempts"], wasReady: row["was_ready"], reason: row["reason"], createdAt: row["created_at"],
            updatedAt: row["updated_at"], stateSince: row["state_since"], isCordoned: row["cordoned"], fallback: try fallback(row),
            boot: boot(row, createdAt: "boot_created_at"))
    }

    private static func fallback(_ row: Row) throws -> VersionRecord? {
        guard let text: String = row["fallback"] else { return nil }
        return try JSONDecoder().decode(VersionRecord.self, from: Data(text.utf8))
    }

    static func encode(_ config: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(config), as: UTF8.self)
    }
}
