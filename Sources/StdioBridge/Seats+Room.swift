import NIOCore

/// Who makes room for those that wait: the pure rules.
///
/// 1. The spare does.
/// 2. Whoever has its share of the seats pays with its own child that is idle longest.
/// 3. Otherwise the owner with most seats pays with its own that is idle longest, but only to one that holds fewer.
/// 4. Otherwise one's own idle child does.
/// 5. When all are busy one waits for the first idle moment; after some patience a busy child of the owner with most seats, if
///    those are more than one's own, takes no new call, and leaves when those that run are done.
extension Seats {
    /// A child that has a seat.
    struct Resident {
        enum State { case idle, busy, draining, stopping }
        let id: ID
        var state: State
        /// Its last request.
        var since: NIODeadline
    }

    enum Move {
        /// This one is to leave.
        case retire(ID)
        /// This one is to leave when its calls are done; one of an owner above its share is given so long and no longer.
        case drain(ID, isAbove: Bool)
        /// Ask again then.
        case wait(NIODeadline)
    }

    /// The next thing to do for those that wait; `nil`: nothing until somebody leaves or is idle.
    func next(_ residents: [Resident], patience: TimeAmount, now: NIODeadline) -> Move? {
        var held = held
        var coming = open
        var draining = 0
        for resident in residents where holds(resident.id) {
            // Those that have been told to end are gone in seconds; those that drain may take as long as their calls.
            if resident.state == .stopping { coming += 1 }
            if resident.state == .draining { draining += 1 }
        }
        var later: NIODeadline?
        var rest = queue
        while let index = rest.indices.min(by: { (held[rest[$0].holder] ?? 0, $0) < (held[rest[$1].holder] ?? 0, $1) }) {
            let waiter = rest.remove(at: index)
            let count = waiter.holder == .nobody ? 0 : held[waiter.holder] ?? 0
            let capped = isCapped(waiter.holder, holding: count)
            if !capped {
                if coming > 0 {
                    coming -= 1
                    held[waiter.holder] = count + 1
                    continue
                }
                if let spare = residents.first(where: { taken[$0.id] == .nobody }) { return .retire(spare.id) }
            }
            let idle = residents.filter { $0.state == .idle }
            let own = idle.filter { taken[$0.id] == waiter.holder }.min { $0.since < $1.since }
            if let own, capped || count >= share { return .retire(own.id) }
            if let other = payer(of: idle, for: waiter.holder, holding: count, held) ?? own { return .retire(other.id) }
            if draining > 0 {
                draining -= 1
                held[waiter.holder] = count + 1
                continue
            }
            guard waiter.holder != .nobody,
                let busy = payer(of: residents.filter { $0.state == .busy }, for: waiter.holder, holding: count, held)
            else { continue }
            let end = waiter.since + patience
            if end <= now { return .drain(busy.id, isAbove: (taken[busy.id].flatMap { held[$0] } ?? 0) > share) }
            later = min(later ?? end, end)
        }
        return later.map(Move.wait)
    }

    /// Of the owner with most seats, more than `count`, the one whose last request is longest ago.
    private func payer(of residents: [Resident], for holder: Holder, holding count: Int, _ held: [Holder: Int]) -> Resident? {
        func seats(_ resident: Resident) -> Int {
            guard let other = taken[resident.id], case .owner = other, other != holder else { return 0 }
            return held[other] ?? 0
        }
        return residents.filter { seats($0) > count }.min { (-seats($0), $0.since) < (-seats($1), $1.since) }
    }
}
