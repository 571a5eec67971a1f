import FoundationEssentials
import GRDB
import MachineAPI

/// What a connector was at a generation that has served.
struct ConnectorVersion: Sendable, Equatable {
    /// How a version came to be.
    enum Reason: Sendable, Equatable {
        case added, updated, rebuilt
        case rolledBack(to: Int)

        var text: String {
            switch self {
            case .added: "added"
            case .updated: "updated"
            case .rebuilt: "rebuilt"
            case .rolledBack(let version): "rolled back to \(version)"
            }
        }
    }

    /// The generation.
    var version: Int
    var definition: ConnectorDefinition
    var build: BuiltImage
    var tools: [UInt8]?
    /// ``Reason/text``.
    var why: String
    /// Milliseconds since 1970.
    var madeAt: Int64
}

extension ConnectorStore {
    /// How many versions a connector keeps, whatever they differ in.
    static let versionLimit = 10
    /// How many versions of different code it keeps, the last one of each: settings and secrets that change often leave a way back.
    static let codeLimit = 5

    /// The images of versions that a connector may go back to, by its name.
    func imagesOfVersions() async throws -> [String: Set<String>] {
        try await database.read { db in
            try Row.fetchAll(db, sql: "SELECT DISTINCT connector, json_extract(build, '$.image') AS image FROM connectorVersions")
                .reduce(into: [:]) { result, row in
                    guard let image: String = row["image"] else { return }
                    result[row["connector"], default: []].insert(image)
                }
        }
    }

    /// Newest first.
    func versions(of connector: String) async throws -> [ConnectorVersion] {
        try await database.read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM connectorVersions WHERE connector = ? ORDER BY version DESC", arguments: [connector]).map { row in
                let (definition, build): (String, String) = (row["definition"], row["build"])
                return ConnectorVersion(
                    version: row["version"], definition: try JSONDecoder().decode(ConnectorDefinition.self, from: Data(definition.utf8)),
                    build: try JSONDecoder().decode(BuiltImage.self, from: Data(build.utf8)), tools: (row["tools"] as Data?).map(Array.init),
                    why: row["why"], madeAt: row["madeAt"])
            }
        }
    }

    /// Keeps what the connector is now, and no more than the last ones.
    static func keepVersion(of connector: String, why: String, _ db: Database) throws {
        try db.execute(
            sql: """
                INSERT INTO connectorVersions
                SELECT name, generation, definition, build, tools, ?2, updatedAt FROM connectors
                WHERE name = ?1 AND state = 'ready' AND build IS NOT NULL
                ON CONFLICT (connector, version) DO UPDATE SET definition = excluded.definition, build = excluded.build, tools = excluded.tools
                """, arguments: [connector, why])
        try db.execute(
            sql: """
                DELETE FROM connectorVersions WHERE connector = ?1 AND version NOT IN (
                    SELECT version FROM connectorVersions WHERE connector = ?1 ORDER BY version DESC LIMIT ?2)
                AND version NOT IN (
                    SELECT max(version) FROM connectorVersions WHERE connector = ?1
                    GROUP BY build, json_extract(definition, '$.http'), json_extract(definition, '$.era') ORDER BY 1 DESC LIMIT ?3)
                """, arguments: [connector, versionLimit, codeLimit])
    }
}
