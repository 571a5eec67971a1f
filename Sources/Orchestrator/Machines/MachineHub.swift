import Synchronization

/// Tells those who wait of every change of a machine. Nobody polls the database.
final class MachineHub: Sendable {
    private struct State {
        var next = 0
        var listeners: [String: [Int: AsyncStream<MachineRecord>.Continuation]] = [:]
        /// By app.
        var movements: [String: [Int: AsyncStream<Void>.Continuation]] = [:]
    }

    private let state = Mutex(State())

    /// Every change of one machine from now on.
    func changes(of id: String) -> AsyncStream<MachineRecord> {
        let (stream, continuation) = AsyncStream.makeStream(of: MachineRecord.self)
        let key = state.withLock { state in
            state.next += 1
            state.listeners[id, default: [:]][state.next] = continuation
            return state.next
        }
        continuation.onTermination = { [self] _ in
            state.withLock { state in
                state.listeners[id]?[key] = nil
                if state.listeners[id]?.isEmpty == true { state.listeners[id] = nil }
            }
        }
        return stream
    }

    /// That something is different with an app's machines than before; of several times one may be told.
    func movements(of app: String) -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let key = state.withLock { state in
            state.next += 1
            state.movements[app, default: [:]][state.next] = continuation
            return state.next
        }
        continuation.onTermination = { [self] _ in
            state.withLock { state in
                state.movements[app]?[key] = nil
                if state.movements[app]?.isEmpty == true { state.movements[app] = nil }
            }
        }
        return stream
    }

    /// How many listen.
    var listenerCount: Int {
        state.withLock { $0.listeners.values.reduce(0) { $0 + $1.count } + $0.movements.values.reduce(0) { $0 + $1.count } }
    }

    func publish(_ machine: MachineRecord) {
        let listeners = state.withLock { $0.listeners[machine.id].map { Array($0.values) } ?? [] }
        for listener in listeners { listener.yield(machine) }
        moved(machine.app)
    }

    /// One of an app's machines has room again.
    func moved(_ app: String) {
        let listeners = state.withLock { $0.movements[app].map { Array($0.values) } ?? [] }
        for listener in listeners { listener.yield() }
    }
}
