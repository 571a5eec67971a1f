import CLinux
import Dispatch
import Foundation
import Glibc
import Synchronization

/// A few threads of our own for work that blocks (mounts, waiting for the container runtime): it belongs neither on an
/// event loop nor on Swift's cooperative pool.
///
/// Each thread has a working directory and a umask of its own. The first one may move into a mount namespace of its own
/// and then starts the others, which inherit it.
final class WorkerPool: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var isEnded = false
    }

    private let state = Mutex(State())
    private let waiting = DispatchSemaphore(value: 0)
    private let threads: Int

    /// Starts the threads and returns when they are ready.
    ///
    /// - Parameter prepare: run on the first thread before any other exists, in its own file system context.
    init(name: String, threads: Int, prepare: @escaping @Sendable () throws -> Void = {}) throws {
        self.threads = threads
        let failure = Mutex<(any Error)?>(nil)
        let ready = DispatchSemaphore(value: 0)
        let leader = Thread { [self] in
            do {
                try Self.isolateFileContext()
                try prepare()
            } catch {
                failure.withLock { $0 = error }
                ready.signal()
                return
            }
            for index in 1..<max(threads, 1) { startFollower("\(name)-\(index)") }
            ready.signal()
            work()
        }
        leader.name = "\(name)-0"
        leader.start()
        ready.wait()
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private func startFollower(_ name: String) {
        let thread = Thread { [self] in
            // A thread whose context cannot be its own must not change directory for everybody: it takes no work.
            guard (try? Self.isolateFileContext()) != nil else { return }
            work()
        }
        thread.name = name
        thread.start()
    }

    private static func isolateFileContext() throws(OCIError) {
        let result = clinux_unshare_fs()
        guard result == 0 else { throw .system("unshare", "CLONE_FS", -result) }
        umask(0o077)
    }

    private func work() {
        while true {
            waiting.wait()
            let job = state.withLock { state in state.jobs.isEmpty ? nil : state.jobs.removeFirst() }
            guard let job else { return }
            job()
        }
    }

    /// Runs `body` on one of the threads.
    func run<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            let accepted = state.withLock { state in
                guard !state.isEnded else { return false }
                state.jobs.append { continuation.resume(with: Result(catching: body)) }
                return true
            }
            if accepted {
                waiting.signal()
            } else {
                continuation.resume(throwing: OCIError(.notRunning, "the machine layer was shut down"))
            }
        }
    }

    /// Ends the threads when the work that was accepted is done.
    func end() {
        let first = state.withLock { state in
            defer { state.isEnded = true }
            return !state.isEnded
        }
        if first { for _ in 0..<threads { waiting.signal() } }
    }
}
