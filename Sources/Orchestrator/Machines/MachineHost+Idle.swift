import Door
import FoundationEssentials
import Sealing

/// How a machine is used, as its agent says.
struct MachineUse: Sendable, Equatable {
    /// How long nobody has used it; nil while somebody does.
    var idle: Duration?
}

extension MachineHost {
    /// Has the agent take no more calls if it has had none for so long, then waits until nobody sends it any.
    ///
    /// - Throws: why not; then the machine serves as before.
    func close(_ record: MachineRecord, _ boot: BootRecord, idleSeconds: Int64) async throws {
        guard let door = boot.door else { throw MachineFailure(.unavailable, "not_stopped", "it has no door") }
        try checkUse(boot, "not stopped")
        let (keys, org) = try await keys(record, boot)
        switch await probe.drain("unix:\(door)", keys: keys, org: org, ifIdleFor: .seconds(idleSeconds)) {
        case .yes: break
        case .no: throw MachineFailure(.conflict, "in_use", "not stopped: it was called meanwhile")
        case .silence(let why): throw MachineFailure(.unavailable, "not_stopped", "not stopped: its agent does not answer: \(why)")
        }
        // What gateways sent before they saw the door closed is refused by the agent, as not delivered; then it may end.
        DoorLatch.close(door)
        try? await Task.sleep(for: Self.latchTime)
    }

    /// Asks from time to time how long nobody has used a machine, and tells when that is as long as `limit`, until cancelled.
    ///
    /// - Parameter since: when it came up, in milliseconds since 1970: one that was waked for somebody is new to him.
    func watchIdleness(
        _ record: MachineRecord, _ boot: BootRecord, limit: Duration, since: Int64, tell: @escaping @Sendable (Int64) async -> Void
    ) async {
        guard let door = boot.door, let (keys, org) = try? await keys(record, boot) else { return }
        while !Task.isCancelled {
            let use = await probe.use("unix:\(door)", keys: keys, org: org)
            let idle = min(use?.idle ?? .zero, .milliseconds(max(0, WallClock.milliseconds() - since)))
            var pause = limit - idle
            if pause <= .zero {
                await tell(idle.components.seconds)
                // Where it could not be had it is asked again.
                pause = min(limit, .seconds(60))
            }
            do { try await Task.sleep(for: max(pause, .milliseconds(100))) } catch { return }
        }
    }
}
