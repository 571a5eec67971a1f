import MachineAPI

/// Which machine an addressed request goes to: pure. Fly's proxy decides the same way (`docs/machines-api.md` A8 of the design's papers).
enum MachineSelection {
    struct Candidate: Sendable, Equatable {
        var id: String
        var state: MachineState
        var isCordoned = false
        /// It is started when somebody needs it.
        var autostart = true
        /// Requests that it has now.
        var load = 0
        /// Above it others are preferred, and one more is started.
        var softLimit: Int
        /// Never more than that.
        var hardLimit: Int

        var hasRoom: Bool { load < hardLimit }
        var canStart: Bool { autostart && (state == .stopped || state == .suspended) }
    }

    enum Choice: Sendable, Equatable {
        /// - Parameters:
        ///   - starting: one more is to be started, for those who come next.
        ///   - unavailable: the machine that was preferred and is not to be had.
        case use(String, starting: String?, unavailable: String?)
        /// To be started, and waited for.
        case start(String)
        /// For a machine that comes up, or for one that has room again.
        case wait
        case refuse(MachineFailure)
    }

    /// One machine by its own address: it is taken as it is.
    static func direct(_ machine: Candidate?, id: String) -> Choice {
        guard let machine else { return .refuse(unknown(id)) }
        guard machine.state == .started else { return .refuse(unavailable(machine)) }
        return machine.hasRoom ? .use(machine.id, starting: nil, unavailable: nil) : .wait
    }

    /// One of an app's machines. `tie` chooses among equals: any number.
    static func choose(among machines: [Candidate], wish: InstanceWish, tie: Int = 0) -> Choice {
        if let id = wish.forced {
            guard let machine = machines.first(where: { $0.id == id }) else { return .refuse(unknown(id)) }
            return forced(machine)
        }
        if let id = wish.preferred, let machine = machines.first(where: { $0.id == id }), !machine.isCordoned, machine.state == .started, machine.hasRoom {
            return .use(id, starting: nil, unavailable: nil)
        }
        let open = machines.filter { !$0.isCordoned }
        guard !open.isEmpty else {
            return .refuse(refusal("no_machines", "the app has no machine that takes requests", hint: "create one, or uncordon one"))
        }
        let ready = open.filter { $0.state == .started && $0.hasRoom }
        let sleeping = open.filter(\.canStart).min { ($0.state == .suspended ? 0 : 1, $0.id) < ($1.state == .suspended ? 0 : 1, $1.id) }
        let isComing = open.contains { $0.state == .starting || $0.state == .created || $0.state == .replacing }
        if let id = least(ready.filter { $0.load < $0.softLimit }, tie) ?? least(ready, tie) {
            let isBusy = ready.allSatisfy { $0.load >= $0.softLimit }
            return .use(id, starting: isBusy && !isComing ? sleeping?.id : nil, unavailable: wish.preferred)
        }
        if isComing { return .wait }
        if let sleeping { return .start(sleeping.id) }
        // All that run are full; or nothing runs, and nothing will without somebody who starts it.
        if open.contains(where: { $0.state == .started || $0.state == .stopping || $0.state == .suspending }) { return .wait }
        return .refuse(refusal("no_machines_started", "no machine of the app runs, and none of them is started by a request", hint: "start one"))
    }

    /// Several tries and no fallback. A cordoned one is taken: who forces it has a session there.
    private static func forced(_ machine: Candidate) -> Choice {
        switch machine.state {
        case .started: return machine.hasRoom ? .use(machine.id, starting: nil, unavailable: nil) : .wait
        case .starting, .created: return .wait
        case .stopped, .suspended: return machine.autostart ? .start(machine.id) : .refuse(unavailable(machine))
        case .stopping, .suspending: return machine.autostart ? .wait : .refuse(unavailable(machine))
        case .replacing, .destroying, .destroyed, .failed: return .refuse(unavailable(machine))
        }
    }

    private static func least(_ machines: [Candidate], _ tie: Int) -> String? {
        guard let load = machines.map(\.load).min() else { return nil }
        let equals = machines.filter { $0.load == load }
        return equals[Int(UInt(bitPattern: tie) % UInt(equals.count))].id
    }

    // MARK: Refusals

    private static func unknown(_ id: String) -> MachineFailure {
        MachineFailure(.notFound, "unknown_machine", "the app has no machine \(id)", hint: "its session is over: begin another")
    }

    private static func unavailable(_ machine: Candidate) -> MachineFailure {
        let id = machine.id
        switch machine.state {
        case .starting, .created: return refusal("machine_starting", "machine \(id) is starting", retry: 1)
        case .replacing: return refusal("machine_replaced", "machine \(id) is being replaced: its sessions are over", retry: 5)
        case .stopping, .stopped: return refusal("machine_stopped", "machine \(id) does not run", hint: "start it: this address does not")
        case .suspending, .suspended: return refusal("machine_suspended", "machine \(id) stands still", hint: "start it: this address does not")
        case .failed: return refusal("machine_failed", "machine \(id) does not come up", hint: "its events say why")
        case .destroying, .destroyed:
            return MachineFailure(.notFound, "machine_destroyed", "machine \(id) is no more", hint: "its session is over: begin another")
        case .started: return refusal("machine_busy", "machine \(id) has as many requests as it may", retry: 1)
        }
    }

    static func refusal(_ code: String, _ message: String, hint: String? = nil, retry: Int? = nil) -> MachineFailure {
        var failure = MachineFailure(.unavailable, code, message, hint: hint)
        failure.retryAfterSeconds = retry
        return failure
    }
}
