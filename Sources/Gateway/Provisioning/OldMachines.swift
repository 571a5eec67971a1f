import Door
import Logging
import MachineAPI
import Sealing

/// Machines of a connector whose place an update has taken. Those whose sessions may stay get no new ones, and go when the last of these is
/// over, or their time is; the others finish their calls and go.
struct OldMachines: Sendable {
    let machines: any MachineControl
    let provider: MachineProvider
    let asking: MachineAsking
    /// Lets a machine finish its calls, for a bounded time.
    let drain: @Sendable (MachineAddress, _ app: String) async -> Void
    let logger: Logger

    /// One look at the machines of older generations than the connector's.
    ///
    /// - Throws: what kept one of them, after the others have gone.
    func retire(_ connector: Connector) async throws {
        var failure: (any Error)?
        for machine in try await machines.machines(app: connector.app) where machine.generation < connector.generation {
            do {
                if try await stays(machine, connector) { continue }
                if let address = machine.address { await drain(address, connector.app) }
                try await machines.destroy(app: connector.app, id: machine.id)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Ends those of generations before `generation`, whose sessions would stay, where the host has no room for the next version: that one has
    /// waited long enough for whoever calls once in a while.
    ///
    /// - Returns: whether there were any.
    func makeRoom(app: String, below generation: Int) async throws -> Bool {
        var found = false
        for machine in try await machines.machines(app: app) where machine.generation < generation && machine.state != .destroying {
            if let address = machine.address { await drain(address, app) }
            try await machines.destroy(app: app, id: machine.id)
            logger.notice("a version before gave way: the host has no room for the next", metadata: ["app": "\(app)", "machine": "\(machine.id)"])
            found = true
        }
        return found
    }

    private func stays(_ machine: Machine, _ connector: Connector) async throws -> Bool {
        guard machine.generation >= connector.floor, WallClock.milliseconds() < connector.drains[machine.generation] ?? 0, machine.holdsSessions
        else { return false }
        if machine.cordoned != true {
            try await provider.cordon(machine.id, app: connector.app)
            logger.notice(
                "open sessions stay on a machine of the version before", metadata: ["connector": "\(connector.name)", "machine": "\(machine.id)"])
        }
        // One that stands still, and an agent that does not tell, may have some.
        guard let address = machine.address else { return true }
        return await asking.use(address, connector.app).map { $0.sessions > 0 } ?? true
    }
}

extension Machine {
    /// It runs, or stands still with all that it has.
    fileprivate var holdsSessions: Bool { address != nil || state == .suspended || state == .suspending }

    /// Of its connector, as it was made; nil where it does not say.
    var ownGeneration: Int? { config.metadata?["berth_generation"].flatMap { Int($0) } }

    /// The same; 0, older than every other, where it does not say.
    var generation: Int { ownGeneration ?? 0 }
}
