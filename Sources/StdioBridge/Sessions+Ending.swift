import MCP
import NIOCore

/// How children leave, and what follows from it.
extension Sessions {
    /// Ends a session's children; the completion comes when nothing of them is left.
    public func end(session id: String, completion: @escaping (Bool) -> Void) {
        let found = (Array(children.values) + Array(leaving.values)).filter { $0.key.id == id }
        _ = retired.take(id)
        stop(found, "the session was ended") { completion(!found.isEmpty) }
    }

    /// Takes no new call; children end as their calls finish.
    public func drain(completion: @escaping () -> Void) {
        close()
        let all = everyone
        var left = all.count
        if left == 0 { return completion() }
        for child in all {
            child.drain("draining") {
                left -= 1
                if left == 0 { completion() }
            }
        }
    }

    /// Ends every child by the ladder.
    public func shutdown(completion: @escaping () -> Void) {
        close()
        sweep?.cancel()
        seatTimer?.cancel()
        stop(everyone, "shutting down", completion: completion)
    }

    private func close() {
        draining = true
        keeper.close()
        tendSpare()
    }

    private func stop(_ found: [Child], _ reason: String, completion: @escaping () -> Void) {
        var left = found.count
        if left == 0 { return completion() }
        for child in found {
            leave(child)
            child.stop(reason) {
                left -= 1
                if left == 0 { completion() }
            }
        }
    }

    func retire(_ child: Child, _ reason: String, isBounded: Bool = true) {
        // Never silently: what the session's server knew goes with it.
        if child.hasState { retired.insert(child.key.id) }
        leave(child)
        child.drain(reason, isBounded: isBounded)
    }

    /// One that died, and is still being cleaned up after.
    func dropEndedSpare() {
        guard let spare, spare.hasEnded else { return }
        keeper.died(now: .now())
        leave(spare)
    }

    private func leave(_ child: Child) {
        if children[child.key] === child { children[child.key] = nil }
        if spare === child { spare = nil }
        leaving[ObjectIdentifier(child)] = child
        seats.leaving(ObjectIdentifier(child))
    }

    /// Nothing is left of `child`.
    func forget(_ child: Child) {
        if spare === child { keeper.died(now: .now()) }
        // One that waited for room in vain still owes what it was to tell.
        if children[child.key] === child, child.untoldRestart { retired.insert(child.key.id) }
        leave(child)
        leaving[ObjectIdentifier(child)] = nil
        seats.leave(ObjectIdentifier(child))
        tendSeats()
        tendSpare()
        if !children.keys.contains(where: { $0.session == child.key.session }) { onGone?(child.key.session) }
    }

    func scheduleSweep() {
        guard sweep == nil else { return }
        let interval = min(max(min(limits.idle, limits.burn).nanoseconds / 4, 20_000_000), 15_000_000_000)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        sweep = eventLoop.scheduleTask(in: .nanoseconds(interval)) {
            bound.value.sweep = nil
            bound.value.endIdle(now: .now())
        }
    }

    private func endIdle(now: NIODeadline) {
        sweeps += 1
        for child in children.values where child.isIdle && !child.hasEnded {
            // What it does for a subscriber it does for somebody.
            if let pid = child.process?.pid, child.calls.isEmpty,
                child.idleBurn.observe(
                    cpu: ProcessTable.cpu(ofTree: pid), lastRequest: child.lastUse, share: limits.burnShare, now: now) >= limits.burn
            {
                let reason = "it keeps a processor busy while nobody waits for it"
                child.environment.log("server process \(pid) is ended: \(reason)")
                retire(child, reason)
            } else if now >= child.endsIdle(after: limits.idle) {
                retire(child, "idle")
            } else if now - child.born >= limits.age {
                retire(child, "its time is over")
            }
        }
        if let spare, spare.isIdle, spare.machine.stage != .starting, now - spare.lastUse >= limits.idle {
            keeper.idled()
            retire(spare, "idle")
        }
        if limits.spare, let spare, hasMemory?(0) == false { retire(spare, "its memory is needed") }
        if !children.isEmpty || spare != nil { scheduleSweep() }
    }

    // MARK: The spare

    /// What it was told rules no session out: it is modern, and no client's own era will be tried.
    private func isForAnybody(_ spare: Child) -> Bool { spare.era == .modern && !mayTakeHandshake }

    /// Does what the keeper says, now and whenever something has changed.
    func tendSpare() {
        spareTimer?.cancel()
        spareTimer = nil
        // One whose process has ended keeps its seat for the next.
        let sleeping = spare.flatMap { $0.isAsleep ? $0 : nil }
        let hasSeat = sleeping.map { seats.holds(ObjectIdentifier($0)) } ?? (seats.free > 0)
        let told = spare.flatMap { !isForAnybody($0) && $0.isReady && $0.isIdle ? $0.lastUse : nil }
        switch keeper.decide(hasSpare: spare != nil && sleeping == nil, told: told, hasRoom: hasSeat && hasMemory?(1) != false, now: .now()) {
        case .nothing: break
        case .wait(let delay):
            let bound = NIOLoopBound(self, eventLoop: eventLoop)
            spareTimer = eventLoop.scheduleTask(in: delay) { bound.value.tendSpare() }
        case .start:
            let child = sleeping ?? make(SessionKey(id: ""), for: .nobody)
            spare = child
            scheduleSweep()
            child.prepare()
        case .end(let reason):
            if let spare { retire(spare, reason) }
        }
    }
}
