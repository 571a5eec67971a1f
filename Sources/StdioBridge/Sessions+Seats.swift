import MCP
import NIOCore

/// How sessions get their seats.
extension Sessions {
    func holder(_ key: SessionKey) -> Seats<ObjectIdentifier>.Holder { .owner(key.owner) }

    /// Gives `child` a seat, or a place in the queue.
    func seat(_ child: Child, for holder: Seats<ObjectIdentifier>.Holder) {
        child.hold()
        seats.join(ObjectIdentifier(child), holder, now: .now())
        releaseSeated(new: child)
    }

    private func releaseSeated(new: Child? = nil) {
        let seated = Set(seats.fill())
        if seated.isEmpty { return }
        for child in everyone + (new.map { [$0] } ?? []) where seated.contains(ObjectIdentifier(child)) { child.release() }
    }

    /// Makes room for those that wait: whenever one more waits, one has nothing to do or one has left.
    func tendSeats() {
        if seats.waiting == 0 { return }
        releaseSeated()
        seatTimer?.cancel()
        seatTimer = nil
        while seats.waiting > 0, let move = seats.next(residents, patience: limits.patience, now: .now()) {
            switch move {
            case .retire(let id):
                guard let child = resident(id) else { return }
                retire(child, "making room for another session")
            case .drain(let id, let isAbove):
                guard let child = resident(id) else { return }
                retire(child, "making room for another principal's session", isBounded: isAbove)
            case .wait(let until):
                let bound = NIOLoopBound(self, eventLoop: eventLoop)
                seatTimer = eventLoop.scheduleTask(deadline: until) { bound.value.tendSeats() }
                return
            }
        }
    }

    /// One that is not leaving yet.
    private func resident(_ id: ObjectIdentifier) -> Child? {
        if let spare, ObjectIdentifier(spare) == id { return spare }
        return children.values.first { ObjectIdentifier($0) == id }
    }

    private var residents: [Seats<ObjectIdentifier>.Resident] {
        everyone.filter { seats.holds(ObjectIdentifier($0)) }.map { child in
            let id = ObjectIdentifier(child)
            let isLeaving = leaving[id] != nil
            let state: Seats<ObjectIdentifier>.Resident.State =
                isLeaving ? (child.machine.isStopping ? .stopping : .draining) : child.isIdle ? .idle : .busy
            return .init(id: id, state: state, since: child.lastUse)
        }
    }
}
