import GRDB
import Persistence

extension OrchestratorSchema {
    static let egress = Migration("4 what apps reached, and what was refused to them") { database in
        try database.execute(
            sql: """
                -- `verdict` is `reached` or a refusal's reason; without a host it stands for the places that have no row.
                CREATE TABLE egress_counts (
                    app TEXT NOT NULL REFERENCES apps (name) ON DELETE CASCADE, host TEXT NOT NULL, port INTEGER NOT NULL,
                    verdict TEXT NOT NULL, count INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
                    PRIMARY KEY (app, host, port, verdict)
                ) STRICT;
                """)
    }
}
