import GRDB
import MachineAPI

/// How many things one orchestrator takes on, whoever asks: a gateway that somebody took over must not fill its database. What they
/// may take of the host's memory while they run is the ``MemoryBudget``'s.
struct HostQuota: Sendable, Equatable {
    var apps = 1_024
    /// Of all apps, whatever their state.
    var machines = 1_024

    /// Whether one more machine fits; to be asked in the transaction that inserts it.
    func checkMachine(_ database: Database) throws {
        let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM machines WHERE state != 'destroyed'") ?? 0
        guard count < machines else { throw Self.full("this host has \(count) machines, as many as it takes", hint: "destroy some") }
    }

    func checkApp(_ database: Database) throws {
        let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM apps") ?? 0
        guard count < apps else { throw Self.full("this host has \(count) apps, as many as it takes", hint: "delete some") }
    }

    private static func full(_ message: String, hint: String) -> MachineFailure {
        MachineFailure(.conflict, "insufficient_capacity", message, hint: hint)
    }
}

extension MachineConfig {
    /// Where nothing is said.
    static let standardMemoryMB = 256

    var memoryMB: Int { guest?.memory_mb ?? Self.standardMemoryMB }
}
