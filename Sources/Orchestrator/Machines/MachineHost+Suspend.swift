import Foundation

extension MachineHost {
    /// Longer than gateways go without looking at a door (`MachineDoor.lookInterval`): after that nobody sends anything into it.
    static let latchTime = Duration.milliseconds(250)
    /// How long calls under way may take before their machine is frozen.
    static let patience = Duration.seconds(10)

    /// Closes the door, waits until nobody is at work, freezes. Nothing of that is done twice.
    ///
    /// - Parameter idleSeconds: only if nobody has called for so long, also when the door is closed.
    /// - Returns: what it gave back, in words.
    /// - Throws: why not; then the machine serves as before.
    func suspend(_ record: MachineRecord, _ boot: BootRecord, idleSeconds: Int64? = nil) async throws -> String {
        if try await !runtime.isFrozen(record.id, boot: boot.boot) {
            if let door = boot.door { DoorLatch.close(door) }
            do {
                try await Task.sleep(for: Self.latchTime)
                if let idleSeconds {
                    try await checkIdle(record, boot, .seconds(idleSeconds))
                } else {
                    try await waitUntilIdle(record, boot)
                }
                try Task.checkCancellation()
            } catch {
                if let door = boot.door { DoorLatch.open(door) }
                throw error
            }
        }
        do {
            // Its row says that it is about to be suspended: no further one begins.
            try checkUse(boot, "not suspended")
            guard let bytes = try await runtime.freeze(record.id, boot: boot.boot) else {
                return "the host has no swap: it stands still and keeps its memory (berth doctor names the remedy)"
            }
            return "\(bytes >> 20) MiB went to swap"
        } catch {
            try? await resume(boot)
            throw error
        }
    }

    /// Lets it run and opens the door.
    func resume(_ boot: BootRecord) async throws {
        try await runtime.thaw(boot.machine, boot: boot.boot)
        if let door = boot.door { DoorLatch.open(door) }
    }

    /// - Throws: while somebody runs a command in it, or a request by its address is under way: those come past the door's latch.
    func checkUse(_ boot: BootRecord, _ refusal: String) throws(MachineFailure) {
        if runtime.commands(boot.machine, boot: boot.boot) > 0 {
            throw MachineFailure(.conflict, "in_use", "\(refusal): somebody runs a command in it")
        }
        if loads.load(of: boot.machine) > 0 {
            throw MachineFailure(.conflict, "in_use", "\(refusal): requests by its address are under way")
        }
    }

    private func checkIdle(_ record: MachineRecord, _ boot: BootRecord, _ limit: Duration) async throws {
        guard let door = boot.door else { return }
        let (keys, org) = try await keys(record, boot)
        guard let idle = await probe.use("unix:\(door)", keys: keys, org: org)?.idle, idle >= limit else {
            throw MachineFailure(.conflict, "in_use", "not suspended: it was called meanwhile")
        }
    }

    private func waitUntilIdle(_ record: MachineRecord, _ boot: BootRecord) async throws {
        guard let door = boot.door else { return }
        let (keys, org) = try await keys(record, boot)
        let end = ContinuousClock.now + Self.patience
        while true {
            guard let busy = await probe.busyChildren("unix:\(door)", keys: keys, org: org) else {
                throw MachineFailure(.unavailable, "not_suspended", "not suspended: the agent does not say whether it is idle")
            }
            if busy == 0 { return }
            guard ContinuousClock.now < end else {
                throw MachineFailure(
                    .unavailable, "not_suspended",
                    "not suspended: calls of \(busy) sessions were not over within \(Self.patience.components.seconds) s")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}
