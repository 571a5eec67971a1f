import Door
import FoundationEssentials
import GRDB
import Persistence
import Sealing

/// Secrets of connectors, sealed by the key ring; the row's identity is part of the seal, so that a value copied to
/// another row does not open.
struct CredentialStore: Sendable {
    let database: any DatabaseWriter
    let keyRing: KeyRing
    /// Sealed-values fingerprint key: two equal values under two installations have different fingerprints.
    let fingerprintKey: Secret

    init(database: any DatabaseWriter, keyRing: KeyRing) throws {
        self.database = database
        self.keyRing = keyRing
        fingerprintKey = try keyRing.derived("credential fingerprint")
    }

    /// Replaces the values of the given names and removes the `dropped`, once it is written; others stay.
    func changes(_ values: [String: String], dropping dropped: [String] = [], connector: String) throws -> SecretChanges {
        var sealed: [String: Data] = [:]
        for (name, value) in values { sealed[name] = Data(try keyRing.seal(Array(value.utf8), identity: Self.identity(connector, name))) }
        return SecretChanges(connector: connector, sealed: sealed, dropped: dropped)
    }

    /// What a child of `connector` is started with; nil when the connector has no secret.
    ///
    /// - Parameters:
    ///   - changes: values that are not stored yet, in place of those that are.
    ///   - dropped: names that will be removed.
    func credentials(
        connector: String, changing changes: [String: String] = [:], dropping dropped: [String] = []
    ) async throws -> CredentialSet? {
        let rows = try await database.read { db in
            try Row.fetchAll(db, sql: "SELECT name, sealed FROM secrets WHERE connector = ? ORDER BY name", arguments: [connector])
                .map { row in (name: row["name"] as String, sealed: row["sealed"] as Data) }
        }
        var environment: [String: String] = [:]
        for (name, sealed) in rows where !dropped.contains(name) {
            environment[name] = String(decoding: try keyRing.open(Array(sealed), identity: Self.identity(connector, name)), as: UTF8.self)
        }
        environment.merge(changes) { _, new in new }
        guard !environment.isEmpty else { return nil }
        return try CredentialSet(environment: environment, headers: [:], files: [:], fingerprintKey: HMACKey(fingerprintKey))
    }

    static func identity(_ connector: String, _ name: String) -> String { "secrets/\(connector)/\(name)" }
}

/// Secrets of a connector, sealed and ready to be written in the transaction that writes its row.
struct SecretChanges: Sendable {
    var connector: String
    var sealed: [String: Data]
    var dropped: [String]

    func write(to db: GRDB.Database) throws {
        for name in dropped { try db.execute(sql: "DELETE FROM secrets WHERE connector = ? AND name = ?", arguments: [connector, name]) }
        for (name, value) in sealed {
            try db.execute(
                sql: """
                    INSERT INTO secrets (connector, name, sealed) VALUES (?, ?, ?)
                    ON CONFLICT (connector, name) DO UPDATE SET sealed = excluded.sealed
                    """,
                arguments: [connector, name, value])
        }
    }
}
