import MachineAPI
import Sealing

/// A row of `apps`, without its root.
struct AppRecord: Sendable, Equatable {
    var name: String
    var id: String
    var org: String
    var network: String?
    var isDeleting: Bool
    /// Milliseconds since 1970, as everywhere here.
    var createdAt: Int64
    var machineCount = 0
}

/// A row of `machines`, with the boot that the host may hold something of.
struct MachineRecord: Sendable, Equatable {
    var id: String
    var app: String
    var name: String
    /// The configuration's version.
    var instance: String
    var config: MachineConfig
    var state: MachineState
    var desired: DesiredState
    var attempts = 0
    var wasReady = false
    var reason: String?
    var createdAt: Int64
    var updatedAt: Int64
    /// Since when it is in this state.
    var stateSince: Int64 = 0
    /// Gets no new sessions.
    var isCordoned = false
    /// The version that an update goes back to when the present one does not become ready.
    var fallback: VersionRecord?
    var boot: BootRecord?

    var memoryBytes: Int { config.memoryMB << 20 }
}

/// A row of `boots`.
struct BootRecord: Sendable, Equatable {
    enum Kind: String, Sendable { case machine, job }

    var boot: String
    var machine: String
    var kind: Kind
    /// Which range of host user ids.
    var slot: Int
    var door: String?
    var createdAt: Int64

    /// Name of its cgroup, bundle and container.
    var name: String { "\(machine)-\(boot)" }
}

/// A row of `leases`: for a while only who holds the nonce changes the machine.
struct LeaseRecord: Sendable, Equatable {
    var machine: String
    /// 12 hex digits.
    var nonce: String
    /// Who asked, as the listener knows him.
    var owner: String
    var description: String
    var expiresAt: Int64
}

extension MachineEvent {
    /// One that happened now.
    init(type: String, status: String, source: String, reason: String?, at now: Int64) {
        self.init(id: ULID(milliseconds: now).description, type: type, status: status, source: source, timestamp: now, reason: reason)
    }
}

