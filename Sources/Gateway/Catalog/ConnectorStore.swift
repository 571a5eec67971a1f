import FoundationEssentials
import GRDB

/// Rows of connectors and virtual MCPs. Every method is one transaction.
struct ConnectorStore: Sendable {
    let database: any DatabaseWriter

    func connectors() async throws -> [ConnectorRecord] {
        try await database.read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM connectors ORDER BY name").map(Self.record)
        }
    }

    func connector(_ name: String) async throws -> ConnectorRecord? {
        try await database.read { db in
            try Row.fetchOne(db, sql: "SELECT * FROM connectors WHERE name = ?", arguments: [name]).map(Self.record)
        }
    }

    /// - Returns: false when the name is taken.
    func insert(_ record: ConnectorRecord) async throws -> Bool {
        let definition = try encode(record.definition)
        return try await database.write { db in
            try db.execute(
                sql: """
                    INSERT INTO connectors (name, app, state, definition, generation, createdAt, updatedAt)
                    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
                    """,
                arguments: [
                    record.name, record.app, record.state.rawValue, definition, record.generation, record.createdAt, record.updatedAt,
                ])
            return db.changesCount == 1
        }
    }

    /// Writes the row, the version that it is where it is ready, and what changes of its secrets: all or nothing.
    func update(_ record: ConnectorRecord, secrets: SecretChanges? = nil, why: ConnectorVersion.Reason = .updated) async throws {
        let definition = try encode(record.definition)
        let build = try record.build.map { try encode($0) }
        let drains = try encode(record.drains)
        try await database.write { db in
            try db.execute(
                sql: """
                    UPDATE connectors SET state = ?, definition = ?, build = ?, generation = ?, floor = ?, drains = ?, tools = ?, updatedAt = ? WHERE name = ?
                    """,
                arguments: [
                    record.state.rawValue, definition, build, record.generation, record.floor, drains, record.tools.map { Data($0) }, record.updatedAt,
                    record.name,
                ])
            try Self.keepVersion(of: record.name, why: why.text, db)
            try secrets?.write(to: db)
        }
    }

    /// Marks a connector as `removing`, unless a virtual MCP holds it.
    ///
    /// - Returns: the slugs of those that do.
    func beginRemoval(_ name: String) async throws -> [String] {
        try await database.write { db in
            let users = try String.fetchAll(
                db, sql: "SELECT slug FROM virtualMCPConnectors WHERE connector = ? ORDER BY slug", arguments: [name])
            guard users.isEmpty else { return users }
            try db.execute(
                sql: "UPDATE connectors SET state = ? WHERE name = ?", arguments: [ConnectorState.removing.rawValue, name])
            return []
        }
    }

    func delete(_ name: String) async throws {
        try await database.write { db in
            try db.execute(sql: "DELETE FROM connectors WHERE name = ?", arguments: [name])
            try db.execute(sql: "DELETE FROM pins WHERE connector = ?", arguments: [name])
        }
    }

    // MARK: Virtual MCPs

    /// Slugs with their connectors in order.
    func virtualMCPs() async throws -> [(slug: String, connectors: [String], createdAt: Int64)] {
        try await database.read { db in
            var members: [String: [String]] = [:]
            for row in try Row.fetchAll(db, sql: "SELECT slug, connector FROM virtualMCPConnectors ORDER BY slug, position") {
                members[row["slug"], default: []].append(row["connector"])
            }
            return try Row.fetchAll(db, sql: "SELECT slug, createdAt FROM virtualMCPs ORDER BY slug").map { row in
                let slug: String = row["slug"]
                return (slug, members[slug] ?? [], row["createdAt"])
            }
        }
    }

    /// Creates or, where `replacing`, changes a virtual MCP.
    /// - Returns: false when it exists and may not be replaced, or does not exist and should have been.
    /// - Throws: ``ConnectorNotReady`` where one of `connectors` is not there or is being removed.
    func put(virtualMCP slug: String, connectors: [String], replacing: Bool, at time: Int64) async throws -> Bool {
        try await database.write { db in
            let exists = try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM virtualMCPs WHERE slug = ?)", arguments: [slug]) ?? false
            guard exists == replacing else { return false }
            if !exists { try db.execute(sql: "INSERT INTO virtualMCPs (slug, createdAt) VALUES (?, ?)", arguments: [slug, time]) }
            try db.execute(sql: "DELETE FROM virtualMCPConnectors WHERE slug = ?", arguments: [slug])
            for (position, connector) in connectors.enumerated() {
                let state = try String.fetchOne(db, sql: "SELECT state FROM connectors WHERE name = ?", arguments: [connector])
                guard state == ConnectorState.ready.rawValue else { throw ConnectorNotReady(name: connector) }
                try db.execute(
                    sql: "INSERT INTO virtualMCPConnectors (slug, connector, position) VALUES (?, ?, ?)", arguments: [slug, connector, position])
            }
            return true
        }
    }

    /// Deletes the virtual MCP and its tokens; false when there is none.
    func deleteVirtualMCP(_ slug: String) async throws -> Bool {
        try await database.write { db in
            try db.execute(sql: "DELETE FROM virtualMCPs WHERE slug = ?", arguments: [slug])
            return db.changesCount == 1
        }
    }

    func setting(_ name: String) async throws -> [UInt8]? {
        try await database.read { db in
            try Data.fetchOne(db, sql: "SELECT value FROM settings WHERE name = ?", arguments: [name]).map(Array.init)
        }
    }

    func setSetting(_ name: String, _ value: [UInt8]) async throws {
        try await database.write { db in
            try db.execute(
                sql: "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                arguments: [name, Data(value)])
        }
    }

    private func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    private static func record(_ row: Row) throws -> ConnectorRecord {
        let decoder = JSONDecoder()
        let definition: String = row["definition"]
        let build: String? = row["build"]
        let state: String = row["state"]
        var record = ConnectorRecord(
            name: row["name"], app: row["app"], state: ConnectorState(rawValue: state) ?? .building,
            definition: try decoder.decode(ConnectorDefinition.self, from: Data(definition.utf8)),
            build: try build.map { try decoder.decode(from: $0) }, generation: row["generation"],
            floor: row["floor"] ?? row["generation"], tools: (row["tools"] as Data?).map(Array.init), createdAt: row["createdAt"], updatedAt: row["updatedAt"])
        if let drains: String = row["drains"] {
            record.drains = try decoder.decode(from: drains)
        } else if record.floor < record.generation {
            let end = record.updatedAt + Int64(record.definition.lifeInForce.drain ?? 0) * 1_000
            for generation in max(record.floor, record.generation - ConnectorRecord.mostDrains)..<record.generation { record.drains[generation] = end }
        }
        return record
    }
}

/// A virtual MCP was to hold a connector that cannot be had.
struct ConnectorNotReady: Error {
    var name: String
}

extension JSONDecoder {
    fileprivate func decode<T: Decodable>(from text: String) throws -> T { try decode(T.self, from: Data(text.utf8)) }
}
