import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// What the machines' relays have together: descriptors of this process, and threads that resolve names. No machine gets all of it.
final class EgressShare: Sendable {
    /// Connections of one machine; each has two descriptors here.
    let each: Int
    let resolvers: NIOThreadPool
    private let total: Int
    private let count = Mutex(0)

    /// For one relay that is alone, as a build's is.
    init(alone connections: Int, resolvers: NIOThreadPool = .singleton) {
        (each, total) = (connections, connections)
        self.resolvers = resolvers
    }

    /// A quarter of what this process may open.
    init(resolvers: NIOThreadPool) {
        var limit = rlimit()
        let files = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? Int(clamping: limit.rlim_cur) : 1_024
        total = max(32, min(4_096, files / 8))
        each = min(128, total / 4)
        self.resolvers = resolvers
    }

    func enter() -> Bool {
        count.withLock { count in
            guard count < total else { return false }
            count += 1
            return true
        }
    }

    func leave() { count.withLock { $0 -= 1 } }
}

/// Lets so much of one machine's work begin at a time; the rest waits its turn. Its names may be answered by a server of its own choice,
/// as slowly as that likes, and the threads are everybody's.
final class Turns: Sendable {
    private let limit: Int
    private let state = Mutex((running: 0, waiting: [@Sendable () -> Void]()))

    init(limit: Int) { self.limit = limit }

    func begin(_ work: @escaping @Sendable () -> Void) {
        let isNow = state.withLock { state in
            guard state.running < limit else {
                state.waiting.append(work)
                return false
            }
            state.running += 1
            return true
        }
        if isNow { work() }
    }

    func end() {
        let next = state.withLock { state -> (@Sendable () -> Void)? in
            guard !state.waiting.isEmpty else {
                state.running -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?()
    }
}
