import FoundationEssentials
import GRDB
import MachineAPI

/// What a machine was at an instance id.
struct VersionRecord: Codable, Sendable, Equatable {
    var instance: String
    var config: MachineConfig
}

extension MachineStore {
    /// How many versions a machine keeps.
    static let versionLimit = 20

    /// Newest first; a ULID sorts by its time.
    func versions(of machine: String, limit: Int = versionLimit) async throws -> [VersionRecord] {
        try await read { database in
            try Row.fetchAll(
                database, sql: "SELECT instance, config FROM versions WHERE machine = ? ORDER BY instance DESC LIMIT ?", arguments: [machine, limit]
            ).map { row in
                let text: String = row["config"]
                return VersionRecord(instance: row["instance"], config: try JSONDecoder().decode(MachineConfig.self, from: Data(text.utf8)))
            }
        }
    }

    /// What the version was made with; metadata that came later is the machine's, not the version's.
    static func insertVersion(_ instance: String, _ config: String, of machine: String, _ database: Database) throws {
        try database.execute(
            sql: "INSERT INTO versions (machine, instance, config) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", arguments: [machine, instance, config])
        guard database.changesCount > 0 else { return }
        try database.execute(
            sql: """
                DELETE FROM versions WHERE machine = ?1 AND instance NOT IN (
                    SELECT instance FROM versions WHERE machine = ?1 ORDER BY instance DESC LIMIT ?2)
                """, arguments: [machine, versionLimit])
    }
}
