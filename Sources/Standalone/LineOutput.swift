import CLinux
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// Lines for a descriptor that may be slow, written in order on a thread of its own: who writes never waits for who reads.
public final class LineOutput: Sendable {
    private let descriptor: Int32
    private let limit: Int
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())
    /// It holds little again after it held too much. Set before the first line.
    nonisolated(unsafe) public var onDrained: () -> Void = {}
    /// Nobody can read any more; told once. Set before the first line.
    nonisolated(unsafe) public var onBroken: () -> Void = {}

    private struct State {
        var bytes = 0
        var dropped = 0
        var isBroken = false
    }

    /// - Parameter limit: Bytes that wait before it says that it is full.
    public init(descriptor: Int32, limit: Int = 4 << 20) {
        self.descriptor = descriptor
        self.limit = limit
        pool.start()
    }

    /// - Returns: Whether it can take more at once; it takes more all the same.
    public func write(_ line: ByteBuffer) -> Bool {
        let waiting = state.withLock { $0.bytes += line.readableBytes; return $0.bytes }
        submit(line)
        return waiting < limit
    }

    /// Writes a line and its newline, or nothing when it is full: then a later line tells how many are missing.
    public func offer(_ line: String) {
        let missing = state.withLock { state -> Int? in
            guard state.bytes < limit else {
                state.dropped += 1
                return nil
            }
            defer { state.dropped = 0 }
            return state.dropped
        }
        guard let missing else { return }
        if missing > 0 { _ = write(ByteBuffer(string: "(\(missing) lines are missing: nobody read them)\n")) }
        _ = write(ByteBuffer(string: line + "\n"))
    }

    /// Waits until everything is written, on the calling thread.
    ///
    /// - Parameter milliseconds: How long at most: who reads may never read again.
    public func flush(within milliseconds: Int32) {
        var ends: [Int32] = [-1, -1]
        guard clinux_pipe_cloexec(&ends) == 0 else { return }
        let (reader, writer) = (ends[0], ends[1])
        pool.submit { _ in close(writer) }
        var end = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
        poll(&end, 1, milliseconds)
        close(reader)
    }

    /// Everything is written, or nobody reads it: the thread that is stuck there then ends with the process.
    public func finish(within seconds: Int) async {
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

    private func submit(_ line: ByteBuffer) {
        pool.submit { [self] _ in
            if !state.withLock({ $0.isBroken }), !put(line) {
                state.withLock { $0.isBroken = true }
                onBroken()
            }
            let (before, after) = state.withLock { state in
                state.bytes -= line.readableBytes
                return (state.bytes + line.readableBytes, state.bytes)
            }
            if before >= limit, after < limit { onDrained() }
        }
    }

    /// - Returns: False when it cannot be written.
    private func put(_ line: ByteBuffer) -> Bool {
        line.withUnsafeReadableBytes { bytes in
            var done = 0
            while done < bytes.count {
                let count = Glibc.write(descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done)
                if count < 0 && errno == EINTR { continue }
                if count < 0 && errno == EAGAIN {
                    var one = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
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
