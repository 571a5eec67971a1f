import MachineAPI
import Sealing

extension MachineService {
    /// Leases a machine, or goes on with the lease whose nonce is given.
    func lease(_ machine: String, seconds: Int64, description: String, owner: String, nonce: String? = nil) async throws -> LeaseRecord {
        let now = WallClock.milliseconds()
        let fresh = try randomBytes(6).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let wanted = LeaseRecord(machine: machine, nonce: fresh, owner: owner, description: description, expiresAt: now + seconds * 1_000)
        return try await store.acquireLease(wanted, nonce: nonce, at: now)
    }

    /// Gives a machine another configuration: a new version, in the place of the present one, which comes back if the new one does not
    /// become ready.
    func update(_ machine: MachineRecord, _ wanted: CreateMachineRequest) async throws -> MachineRecord {
        if await reconciler.isGoingDown { throw MachineFailure.goingDown }
        if let name = wanted.name, name != machine.name {
            throw MachineFailure(.invalid, "immutable", "a machine keeps its name", field: "name", hint: "leave it out")
        }
        try await checkImage(wanted.config)
        try checkSize(wanted.config)
        let instance = ULID(milliseconds: WallClock.milliseconds()).description
        try await reconciler.change(machine.id) { record in
            if let expected = wanted.currentVersion, expected != record.instance {
                throw MachineFailure(
                    .conflict, "version_mismatch", "aborted: machine ID \(record.id) has the version \(record.instance)", field: "current_version",
                    hint: "read the machine again")
            }
            guard !record.state.isTransient, record.desired != .destroyed else {
                throw MachineFailure(
                    .conflict, "not_settled", "aborted: unable to update machine from current state: '\(record.state.rawValue)'",
                    hint: "wait for state=settled")
            }
            if let connector = record.config.metadata?["berth_connector"] {
                // The gateway knows its machines by their configuration, and would not find this one again.
                throw MachineFailure(
                    .preconditionFailed, "managed", "failed_precondition: machine \(record.id) is made as the connector \(connector.prefix(64)) says",
                    hint: "berth connector update \(connector.prefix(64))")
            }
            let isReplaced = !wanted.skipsLaunch && record.boot != nil
            if isReplaced, record.wasReady, record.fallback == nil {
                record.fallback = VersionRecord(instance: record.instance, config: record.config)
            }
            record.instance = instance
            record.config = wanted.config
            return .update(source: "user", launches: !wanted.skipsLaunch)
        }
        return try await store.machine(machine.id) ?? machine
    }

    /// To process 1 of the machine. One that stands still is waked first: it would hear nothing.
    func signal(_ machine: MachineRecord, _ number: Int32) async throws {
        if machine.state == .suspended || machine.state == .suspending {
            let changes = reconciler.host.hub.changes(of: machine.id)
            try await reconciler.send(.start(source: "user"), to: machine.id)
            if try await store.machine(machine.id)?.state != .started {
                _ = await Reconciler.first(in: changes, within: .seconds(30)) { !$0.state.isTransient && $0.state != .suspended }
            }
        }
        guard let now = try await store.machine(machine.id), let boot = now.boot, [.starting, .started, .stopping, .replacing].contains(now.state)
        else {
            throw MachineFailure(
                .preconditionFailed, "failed_precondition",
                "failed_precondition: machine \(machine.id) does not run, so that nothing can hear a signal")
        }
        do {
            try await reconciler.host.runtime.signal(machine.id, boot: boot.boot, number)
        } catch let error as OCIError where error.code == .notRunning {
            throw MachineFailure(.preconditionFailed, "failed_precondition", "failed_precondition: machine \(machine.id) has just ended")
        }
        try await reconciler.send(.note(type: "signal", source: "user"), to: machine.id)
    }

    /// What could never start is not taken.
    func checkSize(_ config: MachineConfig) throws {
        let largest = reconciler.host.budget.largest
        guard config.memoryMB << 20 <= largest else {
            throw MachineFailure(
                .conflict, "insufficient_capacity", "\(config.memoryMB) MiB are more than all machines of this host may have, \(largest >> 20) MiB",
                field: "config.guest.memory_mb", hint: "a smaller machine, or a larger budget: berth up --memory-budget")
        }
    }

    func checkImage(_ config: MachineConfig) async throws {
        guard try await lookup.layers(of: config.image) != nil else {
            throw MachineFailure(
                .invalid, "unknown_image", "the image \(config.image) is not here", field: "config.image", hint: "POST /v1/berth/images builds it")
        }
    }
}
