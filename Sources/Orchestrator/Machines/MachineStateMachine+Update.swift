import MachineAPI

/// Another configuration for a machine that is there; the one before it comes back when the new one does not become ready.
extension MachineStateMachine {
    /// The caller has seen that the machine is settled, and has written both configurations.
    mutating func update(_ source: String, _ launches: Bool) -> [Effect] {
        guard desired != .destroyed, !isHeld else { return [] }
        attempts = 0
        if launches { noteWaiter(source) }
        switch life {
        case .up, .probing, .frozen, .thawing:
            guard launches else { return [.record(type: "update", status: state.rawValue, source: source, reason: "with its next boot")] }
            desired = .running
            // What never was ready is nothing to go back to.
            isOnTrial = isOnTrial || wasReady
            life = .ending
            cause = .request
            state = .replacing
            reason = nil
            return [
                .record(type: "update", status: "replacing", source: source, reason: nil), .terminate, .arm(seconds: policy.stopSeconds),
            ]
        case .none, .waiting, .queued:
            guard launches else { return [.record(type: "update", status: state.rawValue, source: source, reason: nil)] }
            desired = .running
            return boot("update", source: source)
        case .booting, .closing, .freezing, .ending, .removing, .stuck:
            return []
        }
    }

    /// The update failed and nothing is left of its boot.
    mutating func fallBack() -> [Effect] {
        isOnTrial = false
        attempts = 0
        let why = "the new configuration did not become ready: \(reason ?? "no reason known"); the one before it is back"
        return [.fallBack] + boot("update", source: "berth", reason: why)
    }
}
