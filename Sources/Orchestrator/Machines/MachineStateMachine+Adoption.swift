import MachineAPI

/// After a restart of the orchestrator: the row against what the host has.
extension MachineStateMachine {
    mutating func adopted(_ isStarted: Bool) -> [Effect] {
        guard life == .none else { return [] }
        switch target {
        case .running: break
        case .suspended where isStarted: return adoptSuspended()
        case .stopped where isStarted:
            life = .ending
            state = .stopping
            return [.record(type: "adopt", status: "stopping", source: "berth", reason: nil), .terminate, .arm(seconds: policy.stopSeconds)]
        case .stopped, .suspended, .destroyed:
            state = target == .destroyed ? .destroying : .stopping
            return [.record(type: "adopt", status: state.rawValue, source: "berth", reason: nil)] + remove(.request)
        }
        guard isStarted else {
            // Its making was cut off, which is no failure of the machine.
            state = .starting
            return [.record(type: "adopt", status: "starting", source: "berth", reason: "half made")] + remove(.request)
        }
        if isClosing { return adoptClosing() }
        if state == .stopping || state == .replacing {
            // A restart or an update was cut off before this boot had ended: it is told again, and another one follows.
            life = .ending
            cause = .request
            return [.record(type: "adopt", status: state.rawValue, source: "berth", reason: nil), .terminate, .arm(seconds: policy.stopSeconds)]
        }
        if mayStandStill { return adoptAwake() }
        life = .probing
        // One that served before serves on; its server need not be asked, which could start a child without credentials.
        let served = state == .started
        if !served { state = .starting }
        return [
            .record(type: "adopt", status: state.rawValue, source: "berth", reason: nil), .probe(isDeep: !served), .arm(seconds: policy.startSeconds),
        ]
    }

    mutating func lost() -> [Effect] {
        guard life == .none else { return [] }
        if target == .running {
            state = .starting
            reason = "ended while no orchestrator ran"
        }
        return [.record(type: "exit", status: "stopped", source: "berth", reason: "ended while no orchestrator ran")] + remove(.request)
    }

    mutating func found() -> [Effect] {
        guard life == .none else { return [] }
        switch target {
        case .destroyed:
            state = .destroying
            return erase()
        case .running:
            // Tries that an earlier orchestrator counted still count.
            return boot("start", source: "berth")
        case .stopped, .suspended:
            if !isHeld { desired = .stopped }
            guard state != .stopped, state != .failed, state != .created else { return [] }
            state = .stopped
            return [.record(type: "stop", status: "stopped", source: "berth", reason: nil)]
        }
    }
}
