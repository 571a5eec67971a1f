import GRDB
import MachineAPI
import Sealing

extension MachineStore {
    /// The lease that holds now.
    func lease(of machine: String, at now: Int64) async throws -> LeaseRecord? {
        try await read { try Self.lease(of: machine, at: now, $0) }
    }

    /// Takes the lease, or takes it for longer with its own nonce.
    ///
    /// - Throws: ``MachineFailure`` while somebody else holds it.
    func acquireLease(_ wanted: LeaseRecord, nonce: String?, at now: Int64) async throws -> LeaseRecord {
        try await write { database in
            var lease = wanted
            if let standing = try Self.lease(of: wanted.machine, at: now, database) {
                guard let nonce, standing.isHeld(by: nonce) else { throw MachineFailure.leased(standing) }
                lease.nonce = standing.nonce
                lease.owner = standing.owner
                if lease.description.isEmpty { lease.description = standing.description }
            }
            try database.execute(
                sql: """
                    INSERT INTO leases (machine, nonce, owner, description, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
                    ON CONFLICT (machine) DO UPDATE SET nonce = ?2, owner = ?3, description = ?4, expires_at = ?5
                    """, arguments: [lease.machine, lease.nonce, lease.owner, lease.description, lease.expiresAt])
            return lease
        }
    }

    /// - Parameter nonce: nil: whoever holds it.
    /// - Returns: whether there was one.
    func releaseLease(of machine: String, nonce: String?, at now: Int64) async throws -> Bool {
        try await write { database in
            guard let standing = try Self.lease(of: machine, at: now, database) else { return false }
            if let nonce, !standing.isHeld(by: nonce) { throw MachineFailure.leased(standing) }
            try database.execute(sql: "DELETE FROM leases WHERE machine = ?", arguments: [machine])
            return true
        }
    }

    /// The machines of an app that somebody holds.
    func leases(app: String, at now: Int64) async throws -> [LeaseRecord] {
        try await read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM leases WHERE expires_at > ? AND machine IN (SELECT id FROM machines WHERE app = ?) ORDER BY machine",
                arguments: [now, app]
            ).map(Self.lease)
        }
    }

    private static func lease(of machine: String, at now: Int64, _ database: Database) throws -> LeaseRecord? {
        try Row.fetchOne(database, sql: "SELECT * FROM leases WHERE machine = ? AND expires_at > ?", arguments: [machine, now]).map(lease)
    }

    private static func lease(_ row: Row) -> LeaseRecord {
        LeaseRecord(
            machine: row["machine"], nonce: row["nonce"], owner: row["owner"], description: row["description"], expiresAt: row["expires_at"])
    }
}

extension LeaseRecord {
    func isHeld(by nonce: String) -> Bool { constantTimeEquals(Array(nonce.utf8), Array(self.nonce.utf8)) }
}

extension MachineFailure {
    static func leased(_ lease: LeaseRecord) -> MachineFailure {
        let end = Timestamp.text(lease.expiresAt)
        return MachineFailure(
            .conflict, "lease_held", "aborted: machine ID \(lease.machine) lease currently held by \(lease.owner), expires at \(end)",
            field: "fly-machine-lease-nonce", hint: "wait for its end, or send the nonce", details: ["expires_at": end])
    }
}
