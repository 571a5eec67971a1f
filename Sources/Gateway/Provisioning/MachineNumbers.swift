import Logging
import MachineAPI
import Synchronization

/// Keeps as many machines of a connector as its admin said: fewer are made, those beyond the bound finish their sessions and go.
final class MachineNumbers: Sendable {
    private struct State {
        /// What the orchestrator was told, by app.
        var told: [String: Told] = [:]
        /// Machines that are to go, and since when.
        var leaving: [String: (app: String, since: ContinuousClock.Instant)] = [:]
    }

    private struct Told: Equatable {
        var count: Int
        var images: [String]
    }

    /// How long sessions of a machine that is to go may stay.
    static let deadline = Duration.seconds(600)

    private let machines: any MachineControl
    private let provider: MachineProvider
    private let drain: @Sendable (MachineAddress, _ app: String) async -> Void
    private let deadline: Duration
    private let logger: Logger
    private let state = Mutex(State())

    init(
        machines: any MachineControl, provider: MachineProvider, drain: @escaping @Sendable (MachineAddress, _ app: String) async -> Void,
        deadline: Duration = deadline, logger: Logger
    ) {
        self.machines = machines
        self.provider = provider
        self.drain = drain
        self.deadline = deadline
        self.logger = logger
    }

    /// One look at a connector that everybody shares.
    func tend(_ connector: Connector) async throws {
        try await tell(connector)
        let there = try await provider.serving(connector)
        for _ in there.count..<max(there.count, connector.minMachines) {
            guard try await provider.add(to: connector, below: connector.minMachines) else { break }
        }
        guard there.count > connector.maxMachines else { return try await keep(there, of: connector) }
        let candidates = await provider.candidates(there, connector.app)
        let cordoned = Set(there.filter { $0.cordoned == true }.map(\.id))
        for id in MachinePlacement.excess(candidates.map { ($0, cordoned.contains($0.machine)) }, max: connector.maxMachines) {
            guard let machine = there.first(where: { $0.id == id }) else { continue }
            try await leave(machine, sessions: candidates.first { $0.machine == id }?.sessions ?? 0, of: connector)
        }
    }

    /// There may be as many again: those that were to go take new sessions.
    private func keep(_ there: [Machine], of connector: Connector) async throws {
        let left = state.withLock { state in
            let ids = state.leaving.filter { $0.value.app == connector.app }.map(\.key)
            for id in ids { state.leaving[id] = nil }
            return Set(ids)
        }
        for machine in there where left.contains(machine.id) && machine.cordoned == true {
            try await provider.uncordon(machine.id, app: connector.app)
        }
    }

    /// Of apps that are no more nothing is known: one of the same name is told anew.
    func forget(allBut apps: Set<String>) {
        state.withLock { state in
            state.told = state.told.filter { apps.contains($0.key) }
            state.leaving = state.leaving.filter { apps.contains($0.value.app) }
        }
    }

    /// The orchestrator keeps that many started, and those images: also while no gateway runs.
    func tell(_ connector: Connector) async throws {
        let (app, told) = (connector.app, Told(count: connector.minMachines, images: connector.images))
        guard state.withLock({ $0.told[app] }) != told else { return }
        try await machines.keep(app: app, running: told.count, images: told.images)
        state.withLock { $0.told[app] = told }
    }

    /// It gets no new sessions; when it has none any more, or its time is over, it goes.
    private func leave(_ machine: Machine, sessions: Int, of connector: Connector) async throws {
        let now = ContinuousClock.now
        let since = state.withLock { state in
            let since = state.leaving[machine.id]?.since ?? now
            state.leaving[machine.id] = (connector.app, since)
            return since
        }
        if machine.cordoned != true {
            try await provider.cordon(machine.id, app: connector.app)
            logger.notice("a machine beyond the bound gets no new sessions", metadata: ["connector": "\(connector.name)", "machine": "\(machine.id)"])
        }
        guard sessions == 0 || !machine.isLive || since + deadline <= now else { return }
        if let address = machine.address { await drain(address, connector.app) }
        try await machines.destroy(app: connector.app, id: machine.id)
        _ = state.withLock { $0.leaving.removeValue(forKey: machine.id) }
    }
}
