import MachineAPI

/// How a boot begins: it waits for its turn, before the others if somebody waits for it.
extension MachineStateMachine {
    mutating func boot(_ type: String, source: String, reason why: String? = nil) -> [Effect] {
        life = .queued
        state = .starting
        cause = .request
        reason = nil
        return [.record(type: type, status: "starting", source: source, reason: why), .queue(isAwaited: isAwaited)]
    }

    /// Whoever asks for a start waits for it; what we start by ourselves nobody does.
    ///
    /// - Returns: whether nobody waited before.
    @discardableResult
    mutating func noteWaiter(_ source: String) -> Bool {
        guard source != "berth", !isAwaited else { return false }
        isAwaited = true
        return true
    }

    mutating func awaited() -> [Effect] {
        guard target == .running, state != .started, noteWaiter("user"), life == .queued else { return [] }
        return [.queue(isAwaited: true)]
    }

    mutating func turn() -> [Effect] {
        guard life == .queued else { return [] }
        life = .booting
        earlyEnd = nil
        return [.boot]
    }

    /// No failure of the machine, so that none is counted.
    mutating func noRoom(_ why: String) -> [Effect] {
        guard life == .booting else { return [] }
        if desired == .running { desired = .stopped }
        reason = why
        return [.record(type: "start", status: "stopped", source: "berth", reason: why)] + remove(.request)
    }

    /// Whether the input, if it comes now, makes a boot; then there has to be room for it.
    func startsBoot(_ input: Input) -> Bool {
        guard life == .none || life == .waiting, desired != .destroyed, !isHeld else { return false }
        switch input {
        case .start, .restart: return true
        case .update(_, let launches): return launches
        default: return false
        }
    }
}
