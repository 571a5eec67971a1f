import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// Standard output, written on a thread of its own in order.
final class LineOutput: Sendable {
    private static let limit = 4 << 20
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let queued = Mutex(0)
    nonisolated(unsafe) var onDrained: () -> Void = {}
    /// Nobody can read any more; told once.
    nonisolated(unsafe) var onBroken: () -> Void = {}
    private let isBroken = Mutex(false)

    init() { pool.start() }

    /// - Returns: Whether it can take more at once.
    func write(_ line: ByteBuffer) -> Bool {
        let count = line.readableBytes
        let waiting = queued.withLock { $0 += count; return $0 }
        pool.submit { [self] _ in
            if !isBroken.withLock({ $0 }), !Self.put(line) {
                isBroken.withLock { $0 = true }
                onBroken()
            }
            let (before, after) = queued.withLock { queued in
                queued -= count
                return (queued + count, queued)
            }
            if before >= Self.limit, after < Self.limit { onDrained() }
        }
        return waiting < Self.limit
    }

    /// Everything is written, or nobody reads it: the thread that is stuck there then ends with the process.
    func finish(within seconds: Int) async {
        let isDone = await withCheckedContinuation { continuation in
            let wait = FirstOf(continuation)
            pool.submit { _ in wait.end(true) }
            Task {
                try? await Task.sleep(for: .seconds(seconds))
                wait.end(false)
            }
        }
        if isDone { try? await pool.shutdownGracefully() }
    }

    /// - Returns: False when it cannot be written.
    private static func put(_ line: ByteBuffer) -> Bool {
        line.withUnsafeReadableBytes { bytes in
            var done = 0
            while done < bytes.count {
                let count = Glibc.write(1, bytes.baseAddress?.advanced(by: done), bytes.count - done)
                if count < 0 && errno == EINTR { continue }
                if count < 0 && errno == EAGAIN {
                    var one = pollfd(fd: 1, events: Int16(POLLOUT), revents: 0)
                    poll(&one, 1, 1_000)
                    continue
                }
                guard count > 0 else { return false }
                done += count
            }
            return true
        }
    }
}

/// Two who may end one wait, of which the first does.
private final class FirstOf: Sendable {
    private let continuation: Mutex<CheckedContinuation<Bool, Never>?>

    init(_ continuation: CheckedContinuation<Bool, Never>) { self.continuation = Mutex(continuation) }

    func end(_ value: Bool) {
        let waiting = continuation.withLock { continuation in
            defer { continuation = nil }
            return continuation
        }
        waiting?.resume(returning: value)
    }
}
