import CLinux
import Glibc
import Synchronization

/// What ends a bridge: the first signal, or the first crash where that counts. Many may wait for it.
final class StandaloneStop: Sendable {
    private let state = Mutex<(end: StandaloneBridge.End?, waiters: [CheckedContinuation<StandaloneBridge.End, Never>])>((nil, []))

    /// - Returns: whether this is the end that counts.
    @discardableResult
    func end(_ end: StandaloneBridge.End) -> Bool {
        let waiters = state.withLock { state -> [CheckedContinuation<StandaloneBridge.End, Never>]? in
            guard state.end == nil else { return nil }
            state.end = end
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters ?? [] { waiter.resume(returning: end) }
        return waiters != nil
    }

    var hasEnded: Bool { state.withLock { $0.end != nil } }

    func wait() async -> StandaloneBridge.End {
        await withCheckedContinuation { continuation in
            let end = state.withLock { state in
                if state.end == nil { state.waiters.append(continuation) }
                return state.end
            }
            if let end { continuation.resume(returning: end) }
        }
    }
}

/// Hands a task's result to a thread that blocks for it.
final class EndGate: Sendable {
    private let result = Mutex<StandaloneBridge.End?>(nil)
    private let reader: Int32
    private let writer: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        _ = clinux_pipe_cloexec(&ends)
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        close(reader)
        close(writer)
    }

    func open(_ end: StandaloneBridge.End) {
        result.withLock { $0 = end }
        var byte: UInt8 = 1
        _ = Glibc.write(writer, &byte, 1)
    }

    func wait() -> StandaloneBridge.End {
        var byte: UInt8 = 0
        while read(reader, &byte, 1) < 0, errno == EINTR {}
        return result.withLock { $0 } ?? .failed("the bridge was lost")
    }
}
