import Logging
import MachineAPI

/// Finds the machine that an addressed request goes to, starts it where the address does that, and waits for it within a budget.
struct AddressedRequests: Sendable {
    /// A place on a machine; it is given back with ``AddressedRequests/release(_:)``.
    struct Place: Sendable, Equatable {
        var machine: String
        var app: String
        /// `unix:/…`
        var door: String
        /// The machine that was preferred and is not to be had.
        var unavailable: String?
        /// The request was there before the machine was ready.
        var hasWaited = false
    }

    /// How long a request waits for a machine.
    static let standardBudget = Duration.seconds(30)
    /// When somebody who waited in vain may ask again.
    private static let retryAfterSeconds = 5

    let reconciler: Reconciler
    var budget = standardBudget

    private var host: MachineHost { reconciler.host }
    var loads: MachineLoads { reconciler.host.loads }

    /// - Throws: ``MachineFailure``: what is not known, does not run or has no room; 503 with `Retry-After` when the budget is over.
    func place(_ address: InternalAddress, _ wish: InstanceWish, besides tried: Set<String> = []) async throws -> Place {
        guard try await host.store.app(address.app).map({ !$0.isDeleting }) ?? false else { throw MachineFailure.unknownApp(address.app) }
        // Listening begins before looking: no change can fall between.
        let movements = host.hub.movements(of: address.app)
        let deadline = ContinuousClock.now + budget
        var isWaiting = false
        defer { if isWaiting { loads.stopWaiting(for: address.app) } }
        while true {
            let machines = try await host.store.machines(app: address.app).filter { !tried.contains($0.id) }
            switch choose(machines, address, wish) {
            case .refuse(let failure):
                throw failure
            case .use(let id, let starting, let unavailable):
                // The one that is started for others is nobody's to wait for.
                if let starting { try? await reconciler.send(.start(source: "proxy"), to: starting) }
                guard let machine = machines.first(where: { $0.id == id }), let boot = machine.boot, let door = boot.door else { break }
                guard loads.enter(id, limit: machine.config.concurrency.hard) else { continue }
                // What suspends or stops it from here on sees the request, and what did before is seen here.
                guard let now = try await standing(id), now.state == .started, now.boot?.boot == boot.boot else {
                    loads.leave(id)
                    continue
                }
                return Place(machine: id, app: address.app, door: "unix:\(door)", unavailable: unavailable, hasWaited: isWaiting)
            case .start(let id):
                try await reconciler.send(.start(source: "proxy"), to: id)
            case .wait:
                break
            }
            if !isWaiting {
                guard loads.beginWaiting(for: address.app) else { throw Self.full(address.app) }
                isWaiting = true
            }
            guard await Reconciler.first(in: movements, within: deadline - .now, where: { _ in true }) != nil else {
                try Task.checkCancellation()
                throw Self.late(address.app, budget)
            }
        }
    }

    /// - Throws: after the place in it was given back.
    private func standing(_ id: String) async throws -> MachineRecord? {
        do {
            return try await host.store.machine(id)
        } catch {
            loads.leave(id)
            throw error
        }
    }

    func release(_ place: Place) {
        loads.leave(place.machine)
        host.hub.moved(place.app)
    }

    private func choose(_ machines: [MachineRecord], _ address: InternalAddress, _ wish: InstanceWish) -> MachineSelection.Choice {
        let candidates = machines.map { machine in
            let limits = machine.config.concurrency
            return MachineSelection.Candidate(
                id: machine.id, state: machine.state, isCordoned: machine.isCordoned, autostart: machine.config.berth?.autostart ?? true,
                load: loads.load(of: machine.id), softLimit: limits.soft, hardLimit: limits.hard)
        }
        switch address {
        case .machine(let id, _): return MachineSelection.direct(candidates.first { $0.id == id }, id: id)
        case .app: return MachineSelection.choose(among: candidates, wish: wish, tie: Int.random(in: 0..<1 << 30))
        }
    }

    private static func full(_ app: String) -> MachineFailure {
        MachineSelection.refusal(
            "queue_full", "\(MachineLoads.waitingLimit) requests wait for a machine of \(app) already", retry: retryAfterSeconds)
    }

    private static func late(_ app: String, _ budget: Duration) -> MachineFailure {
        MachineSelection.refusal(
            "no_capacity", "no machine of \(app) was ready and had room within \(budget.components.seconds) s", retry: retryAfterSeconds)
    }
}

extension MachineConfig {
    /// Requests at once by its addresses: above `soft` others are preferred, above `hard` they wait.
    var concurrency: (soft: Int, hard: Int) {
        let hard = berth?.concurrency?.hard_limit ?? 100
        return (min(berth?.concurrency?.soft_limit ?? max(1, hard * 4 / 5), hard), hard)
    }
}
