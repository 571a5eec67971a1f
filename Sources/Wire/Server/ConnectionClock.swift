import NIOCore

/// The one time limit that a connection is under at a time. Setting a limit is a store: the scheduled task is left alone
/// as long as it fires no later than the limit, and looks when it fires.
final class ConnectionClock {
    enum Reason {
        case head, body, idle, stall, linger
    }

    private(set) var reason: Reason?
    private var deadline = NIODeadline.distantFuture
    private var task: Scheduled<Void>?
    private var taskDeadline = NIODeadline.distantFuture
    private let expired: (Reason) -> Void

    init(expired: @escaping (Reason) -> Void) {
        self.expired = expired
    }

    func arm(_ reason: Reason, after time: TimeAmount, on eventLoop: any EventLoop) {
        self.reason = reason
        deadline = .now() + time
        if task == nil || deadline < taskDeadline { schedule(on: eventLoop) }
    }

    func disarm() {
        reason = nil
    }

    /// Nothing fires any more.
    func end() {
        reason = nil
        task?.cancel()
        task = nil
    }

    private func schedule(on eventLoop: any EventLoop) {
        task?.cancel()
        taskDeadline = deadline
        task = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.fired(on: eventLoop) }
    }

    private func fired(on eventLoop: any EventLoop) {
        task = nil
        guard let reason else { return }
        if deadline > .now() {
            schedule(on: eventLoop)
        } else {
            self.reason = nil
            expired(reason)
        }
    }
}
