import Door
import FoundationEssentials
import GRDB
import Persistence
import Sealing

extension MachineStore {
    /// What came of the wish for an app.
    enum AppCreation: Sendable, Equatable {
        case created
        /// The same app with the same root is there.
        case exists
        /// Another app has the name.
        case taken
    }

    /// Creates an app; its root is sealed for this row alone.
    ///
    /// - Throws: ``MachineFailure`` when the host takes no more.
    func createApp(_ app: AppRecord, root: AppRoot) async throws -> AppCreation {
        if let old = try await self.app(app.name) {
            guard old.org == app.org, !old.isDeleting else { return .taken }
            return try await self.root(of: app.name).secret == root.secret ? .exists : .taken
        }
        let sealed = Data(try keys.seal(root.secret.copy, identity: Self.identity(app.name, app.id)))
        return try await write { [quota] database in
            try quota.checkApp(database)
            try database.execute(
                sql: "INSERT INTO apps (name, id, org, network, root, created_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                arguments: [app.name, app.id, app.org, app.network, sealed, app.createdAt])
            return database.changesCount == 1 ? .created : .taken
        }
    }

    func app(_ name: String) async throws -> AppRecord? {
        try await read { database in
            try Row.fetchOne(database, sql: Self.selectApps + " WHERE name = ?", arguments: [name]).map(Self.app)
        }
    }

    func apps(org: String? = nil) async throws -> [AppRecord] {
        try await read { database in
            let sql = Self.selectApps + " WHERE ?1 IS NULL OR org = ?1 ORDER BY created_at, name"
            return try Row.fetchAll(database, sql: sql, arguments: [org]).map(Self.app)
        }
    }

    /// The secret that an app's door keys come from.
    ///
    /// - Throws: ``StateError`` when there is no such app, or when it does not open.
    func root(of app: String) async throws -> AppRoot {
        let row = try await read { database in
            try Row.fetchOne(database, sql: "SELECT id, root FROM apps WHERE name = ?", arguments: [app]).map { row in
                (id: row["id"] as String, sealed: row["root"] as Data)
            }
        }
        guard let row else { throw StateError(.failed, "there is no app \(app)") }
        return try AppRoot(secret: Secret(try keys.open(Array(row.sealed), identity: Self.identity(app, row.id))))
    }

    /// From here on the app takes no machine, and goes when its last one has.
    func markDeleting(_ app: String) async throws {
        try await write { database in try database.execute(sql: "UPDATE apps SET deleting = 1 WHERE name = ?", arguments: [app]) }
    }

    /// Deletes an app that is marked and has nothing but destroyed machines.
    ///
    /// - Returns: whether it is gone.
    func deleteIfEmpty(_ app: String) async throws -> Bool {
        try await write { database in
            try database.execute(
                sql: """
                    DELETE FROM apps WHERE name = ?1 AND deleting
                      AND NOT EXISTS (SELECT 1 FROM machines WHERE app = ?1 AND state != 'destroyed')
                    """, arguments: [app])
            try database.execute(
                sql: "DELETE FROM settings WHERE name IN (?1, ?3) AND NOT EXISTS (SELECT 1 FROM apps WHERE name = ?2)",
                arguments: [Self.minimumName(app), app, Self.keptName(app)])
            return try Bool.fetchOne(database, sql: "SELECT NOT EXISTS (SELECT 1 FROM apps WHERE name = ?)", arguments: [app]) ?? true
        }
    }

    private static let selectApps = """
        SELECT apps.*, (SELECT count(*) FROM machines WHERE app = apps.name AND state != 'destroyed') AS machine_count FROM apps
        """

    static func identity(_ app: String, _ id: String) -> String { "apps/\(app)/\(id)/root" }

    private static func app(_ row: Row) -> AppRecord {
        AppRecord(
            name: row["name"], id: row["id"], org: row["org"], network: row["network"], isDeleting: row["deleting"],
            createdAt: row["created_at"], machineCount: row["machine_count"])
    }
}
