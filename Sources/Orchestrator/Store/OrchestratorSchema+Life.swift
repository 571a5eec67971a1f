import GRDB
import Persistence

extension OrchestratorSchema {
    static let life = Migration("3 since when a state holds, versions, leases, cordon, how a machine ended") { database in
        try database.execute(
            sql: """
                ALTER TABLE machines ADD COLUMN state_since INTEGER NOT NULL DEFAULT 0;
                UPDATE machines SET state_since = updated_at;
                ALTER TABLE machines ADD COLUMN cordoned INTEGER NOT NULL DEFAULT 0;
                -- What an update goes back to while it has not become ready: a version and its configuration. NULL when nothing is on trial.
                ALTER TABLE machines ADD COLUMN fallback TEXT;
                -- What Fly's clients read of an exit; JSON.
                ALTER TABLE events ADD COLUMN request TEXT;
                CREATE TABLE versions (
                    machine TEXT NOT NULL REFERENCES machines (id) ON DELETE CASCADE, instance TEXT NOT NULL, config TEXT NOT NULL,
                    PRIMARY KEY (machine, instance)
                ) STRICT;
                INSERT INTO versions SELECT id, instance, config FROM machines;
                CREATE TABLE leases (
                    machine TEXT PRIMARY KEY REFERENCES machines (id) ON DELETE CASCADE, nonce TEXT NOT NULL, owner TEXT NOT NULL,
                    description TEXT NOT NULL, expires_at INTEGER NOT NULL
                ) STRICT;
                """)
    }
}
