import GRDB
import JSONText
import Persistence

/// A row with its place in the projection, which grows in the order of arrival over all chains.
public struct AuditEntry: Sendable, Equatable {
    public var position: Int64
    public var row: AuditRow

    /// As the API answers it; `sequence` is the position.
    public var json: JSONValue {
        var object = JSONObject()
        object["sequence"] = .int(Int(position))
        object["chain"] = .string(row.chain)
        object["chain_sequence"] = .int(Int(row.sequence))
        object["time"] = .int(Int(row.time))
        let texts = [
            ("principal", row.principal), ("client_address", row.clientAddress), ("token", row.tokenID), ("vmcp", row.virtualMCP),
            ("connector", row.connector), ("tool", row.tool), ("exposed_tool", row.exposedTool), ("method", row.method), ("session", row.session),
            ("machine", row.machine), ("boot", row.boot), ("call", row.callID), ("outcome", row.outcome.rawValue), ("reason", row.reason),
        ]
        for (name, text) in texts where !text.isEmpty { object[name] = .string(text) }
        object["latency_us"] = .int(Int(row.latencyMicroseconds))
        for (name, payload) in [("arguments", row.arguments), ("result", row.result)] {
            guard let payload else { continue }
            let whole = payload.truncated ? nil : try? JSONValue(parsing: payload.text)
            object[name] = whole ?? .string(payload.text)
            if payload.truncated { object["\(name)_truncated"] = true }
        }
        object["prev"] = .string(row.previousHash)
        object["hash"] = .string(row.hash)
        return .object(object)
    }
}

extension AuditStore {
    static let migrations = [
        Migration("rows") { database in
            try database.execute(
                sql: """
                    CREATE TABLE row (
                      position INTEGER PRIMARY KEY AUTOINCREMENT, chain TEXT NOT NULL, chain_sequence INTEGER NOT NULL, time INTEGER NOT NULL,
                      principal TEXT NOT NULL, token TEXT NOT NULL, vmcp TEXT NOT NULL, connector TEXT NOT NULL, tool TEXT NOT NULL,
                      exposed_tool TEXT NOT NULL, method TEXT NOT NULL, session TEXT NOT NULL, machine TEXT NOT NULL, boot TEXT NOT NULL,
                      outcome TEXT NOT NULL, reason TEXT NOT NULL, latency_us INTEGER NOT NULL, arguments TEXT, arguments_truncated INTEGER NOT NULL,
                      result TEXT, result_truncated INTEGER NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL,
                      UNIQUE (chain, chain_sequence)
                    ) STRICT
                    """)
        },
        Migration("client_address") { database in
            try database.execute(sql: "ALTER TABLE row ADD COLUMN client_address TEXT NOT NULL DEFAULT ''")
            try database.execute(sql: "ALTER TABLE row ADD COLUMN call TEXT NOT NULL DEFAULT ''")
        },
        // Ends in the position, as every index does: the last rows of somebody are its end.
        Migration("row_principal") { database in try database.execute(sql: "CREATE INDEX row_principal ON row (principal)") },
        Migration("row_call") { database in try database.execute(sql: "CREATE INDEX row_call ON row (call) WHERE call <> ''") },
    ]

    /// Inserts rows; those that are there already stay as they are.
    static func insert(_ rows: [AuditRow], _ database: Database) throws {
        let statement = try database.cachedStatement(
            sql: """
                INSERT OR IGNORE INTO row (chain, chain_sequence, time, principal, token, vmcp, connector, tool, exposed_tool, method, session,
                  machine, boot, outcome, reason, latency_us, arguments, arguments_truncated, result, result_truncated, prev, hash,
                  client_address, call)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        for row in rows {
            try statement.execute(arguments: [
                row.chain, row.sequence, row.time, row.principal, row.tokenID, row.virtualMCP, row.connector, row.tool, row.exposedTool,
                row.method, row.session, row.machine, row.boot, row.outcome.rawValue, row.reason, row.latencyMicroseconds,
                row.arguments?.text, row.arguments?.truncated ?? false, row.result?.text, row.result?.truncated ?? false, row.previousHash,
                row.hash, row.clientAddress, row.callID,
            ])
        }
    }

    /// Which of these calls have a row.
    static func known(_ calls: [String], _ database: Database) throws -> [String] {
        let marks = databaseQuestionMarks(count: calls.count)
        return try String.fetchAll(
            database, sql: "SELECT call FROM row WHERE call <> '' AND call IN (\(marks))", arguments: StatementArguments(calls))
    }

    static func entry(_ row: Row) -> AuditEntry {
        var audit = AuditRow(
            method: row["method"], outcome: AuditOutcome(rawValue: row["outcome"]) ?? .unknown, principal: row["principal"], time: row["time"])
        audit.chain = row["chain"]
        audit.sequence = row["chain_sequence"]
        audit.clientAddress = row["client_address"]
        audit.tokenID = row["token"]
        audit.virtualMCP = row["vmcp"]
        audit.connector = row["connector"]
        audit.tool = row["tool"]
        audit.exposedTool = row["exposed_tool"]
        audit.session = row["session"]
        audit.machine = row["machine"]
        audit.boot = row["boot"]
        audit.callID = row["call"]
        audit.reason = row["reason"]
        audit.latencyMicroseconds = row["latency_us"]
        audit.arguments = (row["arguments"] as String?).map { AuditText(text: $0, truncated: row["arguments_truncated"]) }
        audit.result = (row["result"] as String?).map { AuditText(text: $0, truncated: row["result_truncated"]) }
        audit.previousHash = row["prev"]
        audit.hash = row["hash"]
        return AuditEntry(position: row["position"], row: audit)
    }
}
