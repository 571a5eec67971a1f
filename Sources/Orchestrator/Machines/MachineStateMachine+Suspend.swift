import MachineAPI

/// Suspending: a machine stands still, keeps its memory and its boot, and runs on when somebody needs it.
extension MachineStateMachine {
    /// - Parameter idle: nobody has called for so many seconds, which is why.
    mutating func suspend(_ source: String, idle: Int64? = nil) -> [Effect] {
        guard life == .up, desired == .running, !isHeld else { return [] }
        desired = .suspended
        life = .freezing
        state = .suspending
        reason = nil
        // Written before its door is closed: whoever finds it so later knows that it may stand still.
        return [
            .record(type: idle == nil ? "suspend" : "autostop", status: "suspending", source: source, reason: idle.map(Self.nobodyCalled)),
            .freeze(idleSeconds: idle),
        ]
    }

    mutating func frozen(_ told: String) -> [Effect] {
        guard life == .freezing else { return [] }
        let restarts = restartsAfterFreeze
        restartsAfterFreeze = false
        switch target {
        case .running where restarts:
            life = .ending
            cause = .request
            return stopping("berth", nil) + [.terminate, .arm(seconds: policy.stopSeconds)]
        case .suspended:
            life = .frozen
            guard state != .suspended else { return [] }
            state = .suspended
            reason = told
            return [.record(type: "suspend", status: "suspended", source: "berth", reason: told)]
        case .running:
            return wake("berth")
        case .stopped:
            life = .ending
            cause = .request
            return stopping("berth", reason) + [.terminate, .arm(seconds: policy.stopSeconds)]
        case .destroyed:
            return remove(.request)
        }
    }

    /// It was not to be had: it serves on.
    mutating func freezeFailed(_ why: String) -> [Effect] {
        guard life == .freezing else { return [] }
        guard target == .suspended || target == .running && !restartsAfterFreeze else { return frozen(why) }
        desired = .running
        life = .up
        state = .started
        return [.record(type: "suspend", status: "started", source: "berth", reason: why)]
    }

    mutating func wake(_ source: String) -> [Effect] {
        desired = .running
        life = .thawing
        servedBefore = true
        state = .starting
        reason = nil
        return [.record(type: "resume", status: "starting", source: source, reason: nil), .thaw, .arm(seconds: policy.startSeconds)]
    }

    mutating func thawed() -> [Effect] {
        guard life == .thawing else { return [] }
        life = .probing
        return [.probe(isDeep: !servedBefore), .arm(seconds: policy.startSeconds)]
    }

    // MARK: After a restart of the orchestrator

    /// The row tells of a time in which its door may be closed.
    var mayStandStill: Bool { state == .suspending || state == .suspended || state == .starting && wasReady }

    /// Frozen once more, which is nothing where it stands still already.
    mutating func adoptSuspended() -> [Effect] {
        life = .freezing
        if state != .suspended { state = .suspending }
        return [.record(type: "adopt", status: state.rawValue, source: "berth", reason: reason), .freeze()]
    }

    mutating func adoptAwake() -> [Effect] {
        life = .thawing
        servedBefore = state != .starting
        state = .starting
        return [.record(type: "adopt", status: "starting", source: "berth", reason: nil), .thaw, .arm(seconds: policy.startSeconds)]
    }
}
