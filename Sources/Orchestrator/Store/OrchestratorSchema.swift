import GRDB
import Persistence

/// The tables of `orchestrator.db`.
enum OrchestratorSchema {
    static let migrations = [
        Migration("1 apps, machines, boots, events, settings") { database in
            try database.execute(
                sql: """
                    CREATE TABLE apps (
                        name TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, org TEXT NOT NULL, network TEXT, root BLOB NOT NULL,
                        deleting INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL
                    ) STRICT;
                    CREATE TABLE machines (
                        id TEXT PRIMARY KEY, app TEXT NOT NULL REFERENCES apps (name) ON DELETE CASCADE, name TEXT NOT NULL,
                        instance TEXT NOT NULL, config TEXT NOT NULL, state TEXT NOT NULL, desired TEXT NOT NULL,
                        attempts INTEGER NOT NULL DEFAULT 0, was_ready INTEGER NOT NULL DEFAULT 0, reason TEXT,
                        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
                    ) STRICT;
                    -- A destroyed machine stays readable for a while and gives its name free.
                    CREATE UNIQUE INDEX machine_names ON machines (app, name) WHERE state != 'destroyed';
                    -- One row for each boot that the host may hold anything of: written before it is made, deleted when nothing
                    -- is left of it. While it is there, no other machine gets its range of user ids.
                    CREATE TABLE boots (
                        boot TEXT PRIMARY KEY, machine TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, slot INTEGER NOT NULL UNIQUE,
                        door TEXT, created_at INTEGER NOT NULL
                    ) STRICT;
                    CREATE TABLE events (
                        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
                        machine TEXT NOT NULL REFERENCES machines (id) ON DELETE CASCADE, type TEXT NOT NULL, status TEXT NOT NULL,
                        source TEXT NOT NULL, timestamp INTEGER NOT NULL, reason TEXT
                    ) STRICT;
                    CREATE INDEX events_of_machine ON events (machine, number);
                    CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
                    """)
        },
        Migration("2 images that apps need") { database in
            try database.execute(
                sql: """
                    -- What an app's machines were made of: it is needed also while the app has none of them.
                    CREATE TABLE app_images (
                        app TEXT NOT NULL REFERENCES apps (name) ON DELETE CASCADE, image TEXT NOT NULL, used_at INTEGER NOT NULL,
                        PRIMARY KEY (app, image)
                    ) STRICT;
                    INSERT INTO app_images SELECT app, json_extract(config, '$.image'), max(updated_at) FROM machines GROUP BY 1, 2;
                    """)
        },
        life, egress,
    ]
}
