import MachineAPI

/// A machine that nobody calls. What is wanted of it stays `running` until its agent has said that it takes no call any more: only that
/// decides, since calls come to the agent and not here.
extension MachineStateMachine {
    mutating func idle(_ seconds: Int64) -> [Effect] {
        guard life == .up, desired == .running, !isHeld, let policy = policy.idle, seconds >= Int64(policy.seconds) else { return [] }
        switch policy.action {
        case .suspend:
            return suspend("berth", idle: Int64(policy.seconds))
        case .stop:
            life = .closing
            state = .stopping
            reason = Self.nobodyCalled(Int64(policy.seconds))
            return [.record(type: "autostop", status: "stopping", source: "berth", reason: reason), .close(idleSeconds: Int64(policy.seconds))]
        }
    }

    mutating func closed() -> [Effect] {
        guard life == .closing else { return [] }
        life = .ending
        cause = .request
        // Whoever needs it meanwhile gets the next boot: this one takes nothing any more.
        if state != .starting { desired = .stopped }
        return [.terminate, .arm(seconds: policy.stopSeconds)]
    }

    mutating func closeFailed(_ why: String) -> [Effect] {
        guard life == .closing else { return [] }
        life = .up
        state = .started
        reason = nil
        return [.record(type: "autostop", status: "started", source: "berth", reason: why)]
    }

    static func nobodyCalled(_ seconds: Int64) -> String { "nobody called it for \(seconds) s" }

    // MARK: After a restart of the orchestrator

    /// The row tells of a time in which its agent may have been asked. A restart, which is `stopping` and wanted too, has no reason.
    var isClosing: Bool { state == .stopping && desired == .running && reason != nil && policy.idle != nil }

    /// Asked once more: an agent that takes no calls says yes again.
    mutating func adoptClosing() -> [Effect] {
        life = .closing
        return [
            .record(type: "adopt", status: "stopping", source: "berth", reason: reason), .close(idleSeconds: Int64(policy.idle?.seconds ?? 0)),
        ]
    }
}
