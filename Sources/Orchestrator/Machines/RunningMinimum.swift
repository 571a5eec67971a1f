import Logging
import MachineAPI
import Sealing

/// How many machines of an app stay started, whether anybody calls them or not. The number is a row: it holds without a gateway too.
actor RunningMinimum {
    /// How often is looked whether as many run.
    static let interval = Duration.seconds(5)
    /// How long one that failed is left alone before it is started again.
    static let pause: Int64 = 30_000

    /// Machines that were let go and may still be told as started, and when.
    private var letGo: [String: (app: String, at: ContinuousClock.Instant)] = [:]

    /// Why one that is to run was not started at the last look, by its app.
    private var refusals: [String: String] = [:]

    /// - Parameter why: the last refusal of a look; nil where there was none.
    func looked(at app: String, _ why: String?) { refusals[app] = why }

    /// Apps that have not as many machines started as they are to have, and why, where that is known.
    func shortages(_ store: MachineStore) async throws -> [RunningShortage] {
        var found: [RunningShortage] = []
        for app in try await store.apps() where !app.isDeleting {
            let minimum = try await store.minimum(of: app.name)
            guard minimum > 0 else { continue }
            let started = try await store.machines(app: app.name).count { $0.state == .started && !$0.isCordoned }
            if started < minimum { found.append(RunningShortage(app: app.name, min: minimum, started: started, reason: refusals[app.name])) }
        }
        return found
    }

    /// Whether a machine that nobody calls may end: enough others of its app run. Two that ask at once do not both hear yes.
    func mayEnd(_ machine: MachineRecord, _ store: MachineStore) async -> Bool {
        guard let minimum = try? await store.minimum(of: machine.app), let all = try? await store.machines(app: machine.app) else { return false }
        if minimum == 0 { return true }
        let now = ContinuousClock.now
        letGo = letGo.filter { $0.value.at + .seconds(5) > now }
        let others = all.count { $0.id != machine.id && $0.state == .started && letGo[$0.id] == nil && $0.serves(like: machine) }
        guard others >= minimum else { return false }
        letGo[machine.id] = (machine.app, now)
        return true
    }

    /// Which of an app's machines are to be started so that enough run; what a person is at work on (a lease, a cordon) is left alone.
    static func toStart(_ machines: [MachineRecord], minimum: Int, leased: Set<String>, now: Int64) -> [MachineRecord] {
        // Of an app that is being updated there are two kinds: the newer one counts.
        guard let newest = machines.filter({ !$0.isCordoned }).max(by: { $0.createdAt < $1.createdAt }) else { return [] }
        let own = machines.filter { !$0.isCordoned && $0.serves(like: newest) }
        let running = own.count { [.created, .starting, .started, .replacing].contains($0.state) }
        let free = own.filter { machine in
            guard !leased.contains(machine.id) else { return false }
            switch machine.state {
            case .stopped, .suspended: return true
            case .failed: return machine.stateSince + pause <= now
            default: return false
            }
        }
        return Array(free.sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }.prefix(max(0, minimum - running)))
    }
}

/// An app with fewer machines started than it is to have.
struct RunningShortage: Encodable, Sendable, Equatable {
    var app: String
    var min: Int
    var started: Int
    /// Of the last one that was not started; nil where one is about to be, or there is none to start.
    var reason: String?
}

extension MachineRecord {
    /// The same generation of the same connector.
    fileprivate func serves(like other: MachineRecord) -> Bool {
        app == other.app && config.metadata?["berth_generation"] == other.config.metadata?["berth_generation"]
    }
}

extension MachineStore {
    /// Where it is kept.
    static func minimumName(_ app: String) -> String { "running/\(app)" }

    /// How many of an app's machines stay started.
    func minimum(of app: String) async throws -> Int {
        try await setting(Self.minimumName(app)).flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0
    }

    func setMinimum(of app: String, _ count: Int) async throws { try await setSetting(Self.minimumName(app), Array("\(count)".utf8)) }
}

extension Reconciler {
    /// One look at every app.
    func keepRunning() async {
        guard !isGoingDown else { return }
        do {
            for app in try await host.store.apps() where !app.isDeleting {
                let minimum = try await host.store.minimum(of: app.name)
                guard minimum > 0 else { continue }
                let now = WallClock.milliseconds()
                let leased = Set(try await host.store.leases(app: app.name, at: now).map(\.machine))
                let machines = try await host.store.machines(app: app.name)
                var refusal: String?
                for machine in RunningMinimum.toStart(machines, minimum: minimum, leased: leased, now: now) {
                    host.logger.info("starting a machine that is to run", metadata: ["machine": "\(machine.id)", "app": "\(app.name)"])
                    do {
                        try await send(.start(source: "berth"), to: machine.id)
                    } catch {
                        // The others are not to wait for it.
                        refusal = (error as? MachineFailure)?.message ?? "its start failed; the orchestrator's log tells why"
                        host.logger.warning(
                            "a machine that is to run is not started", metadata: ["machine": "\(machine.id)", "app": "\(app.name)", "error": "\(error)"])
                    }
                }
                await host.minimum.looked(at: app.name, refusal)
            }
        } catch {
            host.logger.warning("machines that are to run may not", metadata: ["error": "\(error)"])
        }
    }
}
