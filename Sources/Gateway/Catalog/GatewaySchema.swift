import GRDB
import Persistence

/// The tables of `gateway.db`: control plane, client sessions and pins. Forward only; the audit projection is a file of its own.
enum GatewaySchema {
    static let migrations = [
        Migration("v1: connectors, virtual MCPs, tokens, sessions, pins") { db in
            try db.create(table: "settings") { table in
                table.primaryKey("name", .text)
                table.column("value", .blob).notNull()
            }
            try db.create(table: "connectors") { table in
                table.primaryKey("name", .text)
                table.column("app", .text).notNull().unique()
                table.column("state", .text).notNull()
                table.column("definition", .jsonText).notNull()
                table.column("build", .jsonText)
                table.column("generation", .integer).notNull()
                table.column("tools", .blob)
                table.column("createdAt", .integer).notNull()
                table.column("updatedAt", .integer).notNull()
            }
            try db.create(table: "secrets") { table in
                table.column("connector", .text).notNull().references("connectors", onDelete: .cascade)
                table.column("name", .text).notNull()
                table.column("sealed", .blob).notNull()
                table.primaryKey(["connector", "name"])
            }
            try db.create(table: "virtualMCPs") { table in
                table.primaryKey("slug", .text)
                table.column("createdAt", .integer).notNull()
            }
            try db.create(table: "virtualMCPConnectors") { table in
                table.column("slug", .text).notNull().references("virtualMCPs", onDelete: .cascade)
                table.column("connector", .text).notNull().references("connectors", onDelete: .restrict)
                table.column("position", .integer).notNull()
                table.primaryKey(["slug", "connector"])
            }
            try db.create(table: "tokens") { table in
                table.primaryKey("id", .text)
                table.column("digest", .blob).notNull().unique()
                table.column("principal", .text).notNull()
                // NULL: the gateway's own API
                table.column("slug", .text).references("virtualMCPs", onDelete: .cascade)
                table.column("createdAt", .integer).notNull()
                table.column("expiresAt", .integer)
                table.column("revokedAt", .integer)
            }
            try db.create(table: "sessions") { table in
                table.primaryKey("id", .text)
                table.column("principal", .text).notNull()
                table.column("virtualMCP", .text).notNull()
                table.column("protocolVersion", .text).notNull()
                table.column("capabilities", .text).notNull()
                table.column("clientInfo", .text).notNull()
                table.column("createdAt", .integer).notNull()
                // When a gateway last took it into memory, or, not long after it, saw it used.
                table.column("usedAt", .integer).notNull()
            }
            try db.create(table: "pins") { table in
                table.column("session", .text).notNull()
                table.column("connector", .text).notNull()
                table.column("epoch", .integer).notNull()
                table.column("machine", .text).notNull()
                table.column("boot", .text).notNull()
                table.primaryKey(["session", "connector"])
            }
        },
        Migration("v2: when a pin was taken") { db in
            try db.alter(table: "pins") { table in table.add(column: "takenAt", .integer).notNull().defaults(to: 0) }
        },
        Migration("v3: sessions that stay") { db in
            // NULL: none but of its own generation.
            try db.alter(table: "connectors") { table in table.add(column: "floor", .integer) }
        },
        Migration("v4: versions of connectors") { db in
            try db.create(table: "connectorVersions") { table in
                table.column("connector", .text).notNull().references("connectors", onDelete: .cascade)
                // The connector's generation.
                table.column("version", .integer).notNull()
                table.column("definition", .jsonText).notNull()
                table.column("build", .jsonText).notNull()
                table.column("tools", .blob)
                table.column("why", .text).notNull()
                table.column("madeAt", .integer).notNull()
                table.primaryKey(["connector", "version"])
            }
            try db.execute(
                sql: """
                    INSERT INTO connectorVersions SELECT name, generation, definition, build, tools, 'updated', updatedAt
                    FROM connectors WHERE state = 'ready' AND build IS NOT NULL
                    """)
        },
        Migration("v5: until when sessions stay on which version") { db in
            // NULL: as the row's own time and `--drain` say.
            try db.alter(table: "connectors") { table in table.add(column: "drains", .jsonText) }
        },
    ]
}
