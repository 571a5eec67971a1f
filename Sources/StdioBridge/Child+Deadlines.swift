import NIOCore

/// When calls are given up. One timer for all calls of a child, since nearly all of them are answered long before it fires.
extension Child {
    func watch(_ deadline: NIODeadline) {
        if let armed = deadlineTimer?.at, armed <= deadline { return }
        deadlineTimer?.task.cancel()
        let bound = NIOLoopBound(self, eventLoop: environment.loop)
        deadlineTimer = (deadline, environment.loop.scheduleTask(deadline: deadline) { bound.value.deadlinePassed() })
    }

    private func deadlinePassed() {
        deadlineTimer = nil
        let open = Array(calls.values) + waiting + parked
        let now = NIODeadline.now()
        let instead = strays > 0 ? ", but answered what it had not been asked" : ""
        for call in open {
            guard let deadline = call.deadline, !call.isFinished else { continue }
            if deadline > now { watch(deadline) } else { abandon(call, reason: "the server did not answer in time" + instead) }
        }
    }

    func endDeadlines() {
        deadlineTimer?.task.cancel()
        deadlineTimer = nil
    }
}
