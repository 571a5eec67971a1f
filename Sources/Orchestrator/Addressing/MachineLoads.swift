import Synchronization

/// How many addressed requests each machine has, and how many wait for one of an app. Bounded on both sides.
final class MachineLoads: Sendable {
    /// Of one app, at once.
    static let waitingLimit = 64

    private struct State {
        var loads: [String: Int] = [:]
        var waiting: [String: Int] = [:]
    }

    private let state = Mutex(State())

    func load(of machine: String) -> Int { state.withLock { $0.loads[machine] ?? 0 } }

    /// - Returns: whether it had room; then ``leave(_:)`` follows.
    func enter(_ machine: String, limit: Int) -> Bool {
        state.withLock { state in
            let load = state.loads[machine] ?? 0
            guard load < limit else { return false }
            state.loads[machine] = load + 1
            return true
        }
    }

    func leave(_ machine: String) {
        state.withLock { state in
            guard let load = state.loads[machine] else { return }
            state.loads[machine] = load > 1 ? load - 1 : nil
        }
    }

    /// - Returns: whether there was room in the queue; then ``stopWaiting(for:)`` follows.
    func beginWaiting(for app: String) -> Bool {
        state.withLock { state in
            let count = state.waiting[app] ?? 0
            guard count < Self.waitingLimit else { return false }
            state.waiting[app] = count + 1
            return true
        }
    }

    func stopWaiting(for app: String) {
        state.withLock { state in
            guard let count = state.waiting[app] else { return }
            state.waiting[app] = count > 1 ? count - 1 : nil
        }
    }
}
