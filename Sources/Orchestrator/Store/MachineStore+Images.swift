import GRDB
import MachineAPI

extension MachineStore {
    /// How many images an app keeps beyond those of its machines: that of the last machine, and those of updates that failed.
    static let imagesPerApp = 5

    /// The images that machines have, and those that an app's next machine may need: the last ones of every app.
    func imagesInUse() async throws -> Set<String> { try await read { try Self.imagesInUse($0) } }

    /// A reason for which an image stays.
    struct ImageUse: Sendable, Equatable {
        var image: String
        var app: String
        /// nil: an app's next machine may be made of it.
        var machine: String?
        /// Whose server the machine runs.
        var connector: String?
        var state: String?
    }

    /// The same as ``imagesInUse()``, with the reasons.
    func imageUses() async throws -> [ImageUse] {
        try await read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT json_extract(config, '$.image') AS image, app, id, json_extract(config, '$.metadata.berth_connector') AS connector, state
                    FROM machines WHERE state != 'destroyed'
                    UNION SELECT json_extract(fallback, '$.config.image'), app, id, json_extract(config, '$.metadata.berth_connector'), state
                    FROM machines WHERE fallback IS NOT NULL
                    UNION SELECT image, app, NULL, NULL, NULL FROM app_images
                    UNION SELECT kept.value, substr(name, \(Self.keptName("").utf8.count + 1)), NULL, NULL, NULL
                    FROM settings, json_each(CAST(settings.value AS TEXT)) AS kept WHERE name GLOB '\(Self.keptName("*"))' ORDER BY 2, 3
                    """
            ).map { ImageUse(image: $0["image"], app: $0["app"], machine: $0["id"], connector: $0["connector"], state: $0["state"]) }
        }
    }

    /// The same of any database that a backup may hold, of an earlier schema too.
    static func imagesInUse(_ database: Database) throws -> Set<String> {
        var queries = ["SELECT json_extract(config, '$.image') FROM machines WHERE state != 'destroyed'"]
        if try database.columns(in: "machines").contains(where: { $0.name == "fallback" }) {
            queries.append("SELECT json_extract(fallback, '$.config.image') FROM machines WHERE fallback IS NOT NULL")
        }
        if try database.tableExists("app_images") { queries.append("SELECT image FROM app_images") }
        queries.append("SELECT kept.value FROM settings, json_each(CAST(settings.value AS TEXT)) AS kept WHERE name GLOB '\(keptName("*"))'")
        return try String.fetchSet(database, sql: queries.joined(separator: " UNION "))
    }

    /// Images of an app that a caller named, at most.
    static let mostKeptImages = 32

    /// Where they are kept, a list of JSON.
    static func keptName(_ app: String) -> String { "images/\(app)" }

    /// The images that an app's caller wants kept: what serves and what it may go back to, however many others its machines had.
    func setKeptImages(of app: String, _ images: [String]) async throws {
        try await setSetting(Self.keptName(app), CanonicalJSON.encode(images))
    }

    /// Keeps the image of a machine that comes or goes, for the app's next one.
    static func remember(_ machine: MachineRecord, _ database: Database) throws {
        try database.execute(
            sql: "INSERT INTO app_images (app, image, used_at) VALUES (?1, ?2, ?3) ON CONFLICT (app, image) DO UPDATE SET used_at = ?3",
            arguments: [machine.app, machine.config.image, machine.updatedAt])
        try database.execute(
            sql: """
                DELETE FROM app_images WHERE app = ?1 AND image NOT IN (
                    SELECT image FROM app_images WHERE app = ?1 ORDER BY used_at DESC, image = ?2 DESC LIMIT ?3)
                """, arguments: [machine.app, machine.config.image, imagesPerApp])
    }
}
