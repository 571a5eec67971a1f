import Glibc
import GRDB

extension OrchestratorService {
    /// What the host holds of this installation's machines and builds that nothing owns. Reads only; runs beside a living
    /// orchestrator, or without one, and needs neither the gateway's user nor the agent.
    ///
    /// - Parameters:
    ///   - stateDirectory: `<state>/orchestrator`.
    ///   - runDirectory: `/run/berth/<key>`.
    ///   - cgroupPrefix: `/berth-<key>`.
    public static func leftovers(stateDirectory: String, runDirectory: String, cgroupPrefix: String) async throws -> [Leftover] {
        let configuration = OCIConfiguration(stateDirectory: stateDirectory, runDirectory: runDirectory, cgroupPrefix: cgroupPrefix, doorGroup: 0)
        func look() async throws -> [Leftover] {
            let rows = try await LeftoverRows(database: stateDirectory + "/orchestrator.db")
            return Leftovers.scan(configuration: configuration, owned: rows.boots, machines: rows.machines).items
        }
        // A boot that began after its row could have been read, or a build's folder between its row and its removal, is gone
        // or owned when the rows are read again; what nothing owns is still there.
        let first = try await look()
        if first.isEmpty { return [] }
        let second = Set(try await look())
        return first.filter(second.contains)
    }

    /// Removes logs whose machine ended with an orchestrator that was killed before it could.
    static func removeUnownedLogs(_ configuration: OCIConfiguration, _ store: MachineStore) async throws {
        let machines = try await store.machines(includesDestroyed: false).map(\.id) + store.boots().map(\.machine)
        for path in LeftoverFiles.unownedLogs(configuration.logs, machines: Set(machines)) { unlink(path) }
    }
}

/// What the rows own.
private struct LeftoverRows {
    /// `<machine>-<boot>`.
    var boots = Set<String>()
    /// Those that are not destroyed.
    var machines = Set<String>()

    init(database path: String) async throws {
        guard access(path, F_OK) == 0 else { return }
        var options = Configuration()
        options.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: options)
        (boots, machines) = try await queue.read { database in
            // Its first orchestrator may not have made them yet.
            guard try database.tableExists("boots"), try database.tableExists("machines") else { return ([], []) }
            return (
                try String.fetchSet(database, sql: "SELECT machine || '-' || boot FROM boots"),
                try String.fetchSet(database, sql: "SELECT id FROM machines WHERE state != 'destroyed'")
            )
        }
        try queue.close()
    }
}
