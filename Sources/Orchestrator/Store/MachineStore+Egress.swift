import Door
import GRDB

extension MachineStore {
    /// Different places that an app has rows of: so many reached, and so many refused.
    static let egressLimit = EgressLedger.limit

    /// Adds counts, in one transaction; those of an app that is gone are dropped.
    func addEgress(_ apps: [String: EgressBook.Pending]) async throws {
        try await write { database in
            for (app, pending) in apps {
                let isThere = try Bool.fetchOne(database, sql: "SELECT EXISTS (SELECT 1 FROM apps WHERE name = ?)", arguments: [app])
                guard isThere == true else { continue }
                // In the order in which they came last: of those that have no room the later ones are left over.
                for place in pending.counts.keys.sorted(by: { (pending.last[$0] ?? 0, $0.host) < (pending.last[$1] ?? 0, $1.host) }) {
                    try Self.add(pending.counts[place] ?? 0, to: place, of: app, at: pending.last[place] ?? 0, database)
                }
            }
        }
    }

    private static func add(_ count: Int, to place: EgressPlace, of app: String, at time: Int64, _ database: Database) throws {
        try database.execute(
            sql: "UPDATE egress_counts SET count = count + ?, last = ? WHERE app = ? AND host = ? AND port = ? AND verdict = ?",
            arguments: [count, time, app, place.host, place.port, place.verdict])
        guard database.changesCount == 0 else { return }
        let isFull = try Bool.fetchOne(
            database, sql: "SELECT count(*) >= ? FROM egress_counts WHERE app = ? AND host != '' AND (verdict = ?) = ?",
            arguments: [egressLimit, app, EgressPlace.reached, place.isReached])
        if isFull == true, place != place.others { return try add(count, to: place.others, of: app, at: time, database) }
        try database.execute(
            sql: "INSERT INTO egress_counts (app, host, port, verdict, count, first, last) VALUES (?, ?, ?, ?, ?, ?, ?)",
            arguments: [app, place.host, place.port, place.verdict, count, time, time])
    }

    /// Oldest first.
    func egressCounts(of app: String) async throws -> [EgressCount] {
        try await read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM egress_counts WHERE app = ? ORDER BY first, host, port, verdict", arguments: [app]
            ).map { row in
                EgressCount(
                    place: EgressPlace(host: row["host"], port: row["port"], verdict: row["verdict"]), count: row["count"], first: row["first"],
                    last: row["last"])
            }
        }
    }
}
