import GRDB
import Glibc
import MachineAPI

/// How much one orchestrator takes on, whoever asks: a gateway that somebody took over must not fill the host.
struct HostQuota: Sendable, Equatable {
    var apps = 1_024
    /// Of all apps, whatever their state: one that is stopped may be started.
    var machines = 1_024
    /// Of one machine, in MiB.
    var machineMemory: Int
    /// Of all machines together. Their limits are ceilings, which few of them reach: hence more than there is.
    var memory: Int

    /// Four times the host's memory, and no machine larger than the host.
    init(hostMemory: Int = Self.hostMemory) {
        machineMemory = hostMemory
        memory = 4 * hostMemory
    }

    /// In MiB.
    static var hostMemory: Int { sysconf(Int32(_SC_PHYS_PAGES)) / ((1 << 20) / max(1, sysconf(Int32(_SC_PAGESIZE)))) }

    /// Whether one more machine fits; to be asked in the transaction that inserts it.
    ///
    /// - Parameter machine: one that is there and gets the configuration.
    func checkMachine(_ wanted: MachineConfig, insteadOf machine: String? = nil, _ database: Database) throws {
        let size = wanted.memoryMB
        guard size <= machineMemory else {
            throw Self.full(
                "\(size) MiB are more than this host has, \(machineMemory) MiB", field: "config.guest.memory_mb", hint: "a smaller machine")
        }
        let row = try Row.fetchOne(
            database,
            sql: """
                SELECT count(*) AS machines, coalesce(sum(coalesce(json_extract(config, '$.guest.memory_mb'), ?)), 0) AS memory
                FROM machines WHERE state != 'destroyed' AND id IS NOT ?
                """, arguments: [MachineConfig.standardMemoryMB, machine])
        let (count, sum): (Int, Int) = (row?["machines"] ?? 0, row?["memory"] ?? 0)
        guard count < machines else { throw Self.full("this host has \(count) machines, as many as it takes", field: nil, hint: "destroy some") }
        guard sum + size <= memory else {
            throw Self.full(
                "the machines of this host may use \(sum) MiB already, and \(size) MiB more would pass its bound of \(memory) MiB",
                field: "config.guest.memory_mb", hint: "destroy machines, or make this one smaller")
        }
    }

    func checkApp(_ database: Database) throws {
        let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM apps") ?? 0
        guard count < apps else { throw Self.full("this host has \(count) apps, as many as it takes", field: nil, hint: "delete some") }
    }

    private static func full(_ message: String, field: String?, hint: String) -> MachineFailure {
        MachineFailure(.conflict, "insufficient_capacity", message, field: field, hint: hint)
    }
}

extension MachineConfig {
    /// Where nothing is said.
    static let standardMemoryMB = 256

    var memoryMB: Int { guest?.memory_mb ?? Self.standardMemoryMB }
}
