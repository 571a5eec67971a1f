import GRDB
import MachineAPI

extension MachineStore {
    /// Writes the event of a command that is about to run.
    func begin(_ event: MachineEvent, of machine: String) async throws {
        try await write { database in
            try Self.insert(event, of: machine, database)
            try Self.prune(eventsOf: machine, database)
        }
    }

    /// Writes how it ended; does nothing where the event is not there (any more).
    func finish(event id: String, request: MachineEvent.Request, reason: String) async throws {
        let text = try Self.encode(request)
        try await write { database in
            try database.execute(sql: "UPDATE events SET request = ?, reason = ? WHERE id = ?", arguments: [text, reason, id])
        }
    }

    /// Of commands that an earlier orchestrator did not see end.
    func finishUnknownExecs() async throws {
        try await write { database in
            try database.execute(
                sql: """
                    UPDATE events SET request = json_set(request, '$.exec_event.ended', 'unknown'),
                        reason = 'its end is unknown: the orchestrator ended before it, and the next one ended what was left of it'
                    WHERE type = 'exec' AND json_extract(request, '$.exec_event.ended') IS NULL
                    """)
        }
    }
}
