import CLinux
import Foundation
import Glibc
import Synchronization

/// Waits for machines on a thread of its own, by pidfd: it learns of an end within a millisecond, and of the status when
/// this process is the parent (subreaper) of the machine.
///
/// Not on an event loop: a pidfd registered with NIO ends the process.
final class Reaper: Sendable {
    struct Exit: Sendable {
        /// `nil` when a signal ended it, or when the status went to another parent.
        let code: Int32?
        let signal: Int32?
    }

    private struct Watch {
        let pidfd: Int32
        let ended: @Sendable (Exit) -> Void
    }

    private struct State {
        var watches: [Int32: Watch] = [:]
        var isEnded = false
    }

    private let state = Mutex(State())
    private let wakePipe: WakePipe

    /// - Parameter sweep: how dead children that nobody watches are reaped.
    init(sweep: OrphanSweep = OrphanSweep()) throws(OCIError) {
        wakePipe = try WakePipe()
        let thread = Thread { [self] in run(sweep) }
        thread.name = "berth-reaper"
        thread.start()
    }

    /// Reports the end of `pid` once, on the reaper's thread.
    ///
    /// - Parameter pidfd: belongs to the reaper from here on.
    func watch(_ pid: Int32, pidfd: Int32, ended: @escaping @Sendable (Exit) -> Void) {
        let previous = state.withLock { $0.watches.updateValue(Watch(pidfd: pidfd, ended: ended), forKey: pid) }
        if let previous { close(previous.pidfd) }
        wakePipe.wake()
    }

    /// Signals a watched process: never a recycled pid. `false` when it is not watched any more.
    func signal(_ pid: Int32, _ signal: Int32) -> Bool {
        state.withLock { state in
            guard let watch = state.watches[pid] else { return false }
            return clinux_pidfd_send_signal(watch.pidfd, signal) == 0
        }
    }

    /// Reaps those of `pids` that are dying children of ours and that nobody watches.
    func reapUnwatched(_ pids: Set<Int32>) {
        for pid in state.withLock({ state in pids.filter { state.watches[$0] == nil } }) {
            // A process leaves its cgroup a moment before its parent may wait for it.
            for _ in 0..<50 where OrphanSweep.reap(pid) == 0 { usleep(1_000) }
        }
    }

    func end() {
        state.withLock { $0.isEnded = true }
        wakePipe.wake()
    }

    private func run(_ sweep: OrphanSweep) {
        var orphans = sweep
        while true {
            let (pids, isEnded) = state.withLock { (Array($0.watches), $0.isEnded) }
            if isEnded { break }
            var polled = [pollfd(fd: wakePipe.reader, events: Int16(POLLIN), revents: 0)]
            polled += pids.map { pollfd(fd: $0.value.pidfd, events: Int16(POLLIN), revents: 0) }
            let count = poll(&polled, nfds_t(polled.count), Int32(orphans.interval.milliseconds))
            if count < 0 && errno != EINTR { usleep(10_000) }
            if polled[0].revents != 0 { wakePipe.drain() }
            for (index, entry) in pids.enumerated() where polled[index + 1].revents != 0 { finish(entry.key, entry.value) }
            orphans.run(now: .now) { pid in state.withLock { $0.watches[pid] != nil } }
        }
        let left = state.withLock { state in
            defer { state.watches = [:] }
            return state.watches
        }
        for watch in left.values { close(watch.pidfd) }
    }

    private func finish(_ pid: Int32, _ watch: Watch) {
        var code: Int32 = 0
        var signal: Int32 = 0
        let reaped = clinux_reap(pid, &code, &signal)
        if reaped == 0 { return }
        let isOurs = state.withLock { state in
            guard state.watches[pid]?.pidfd == watch.pidfd else { return false }
            state.watches[pid] = nil
            return true
        }
        guard isOurs else { return }
        close(watch.pidfd)
        let exit =
            reaped < 0 ? Exit(code: nil, signal: nil) : signal == 0 ? Exit(code: code, signal: nil) : Exit(code: nil, signal: signal)
        watch.ended(exit)
    }
}
