import Synchronization

/// A number that only grows and that tasks can wait for.
final class Milestone: Sendable {
    private struct State {
        var value: Int64 = 0
        var waiters: [Int: (target: Int64, continuation: CheckedContinuation<Void, Never>)] = [:]
        var nextID = 0
        /// Waits that were cancelled before they began.
        var cancelled: Set<Int> = []
    }
    private let state = Mutex(State())

    var value: Int64 { state.withLock { $0.value } }

    func advance(to value: Int64) { change { max($0, value) } }

    /// Each one counts, from whatever threads they come.
    func increment() { change { $0 + 1 } }

    private func change(_ next: (Int64) -> Int64) {
        let reached = state.withLock { state in
            state.value = next(state.value)
            let reached = state.waiters.filter { $0.value.target <= state.value }
            for id in reached.keys { state.waiters[id] = nil }
            return reached.values.map(\.continuation)
        }
        for continuation in reached { continuation.resume() }
    }

    /// Returns when the number is at least `target`, or when the task is cancelled.
    func reach(_ target: Int64) async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now = state.withLock { state in
                    if state.value >= target || state.cancelled.remove(id) != nil { return true }
                    state.waiters[id] = (target, continuation)
                    return false
                }
                if now { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let waiter = state.waiters.removeValue(forKey: id)
                if waiter == nil { state.cancelled.insert(id) }
                return waiter?.continuation
            }
            waiter?.resume()
        }
        state.withLock { _ = $0.cancelled.remove(id) }
    }
}
