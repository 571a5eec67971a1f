import Synchronization

/// Tells those who wait of every change of a machine. Nobody polls the database.
final class MachineHub: Sendable {
    private struct State {
        var next = 0
        var listeners: [String: [Int: AsyncStream<MachineRecord>.Continuation]] = [:]
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

    /// How many listen.
    var listenerCount: Int { state.withLock { $0.listeners.values.reduce(0) { $0 + $1.count } } }

    func publish(_ machine: MachineRecord) {
        let listeners = state.withLock { $0.listeners[machine.id].map { Array($0.values) } ?? [] }
        for listener in listeners { listener.yield(machine) }
    }
}
