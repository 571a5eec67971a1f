import NIOCore

/// Which children may have a process: so many at once and no more, those that are leaving included. A pure value.
///
/// - A seat goes to the waiting owner that holds fewest, of several to who came first.
/// - Where there are three seats and more, one owner never holds them all: the next one finds a seat.
/// - The queue is bounded, and one owner has no more than half of it.
///
/// The owner of the empty name is everybody, where a bridge does not know whose its sessions are: no bound is on it alone.
struct Seats<ID: Hashable> {
    enum Holder: Hashable {
        /// A spare's: whoever comes may have it.
        case nobody
        case owner(String)
        /// Of a child that is on its way out.
        case leaving
    }

    struct Waiter {
        let id: ID
        var holder: Holder
        let since: NIODeadline
    }

    let limit: Int
    private let queueLimit: Int
    private(set) var taken: [ID: Holder] = [:]
    private(set) var queue: [Waiter] = []

    init(limit: Int, queue: Int = 64) {
        self.limit = limit
        queueLimit = queue
    }

    /// Half of the seats: whoever holds as many pays for the next with one of its own first.
    var share: Int { max(1, limit / 2) }
    /// Seats that nobody has.
    var open: Int { max(0, limit - taken.count) }
    /// Seats that nobody has and nobody waits for.
    var free: Int { max(0, limit - taken.count - queue.count) }
    var waiting: Int { queue.count }

    func holds(_ id: ID) -> Bool { taken[id] != nil }

    /// How many seats each has.
    var held: [Holder: Int] { taken.values.reduce(into: [:]) { $0[$1, default: 0] += 1 } }

    /// Whether `holder`, with so many seats, may have no further one but for one of its own.
    func isCapped(_ holder: Holder, holding count: Int) -> Bool {
        guard case .owner(let name) = holder, !name.isEmpty, limit > 2 else { return false }
        return count >= limit - 1
    }

    func isCapped(_ holder: Holder) -> Bool { isCapped(holder, holding: held[holder] ?? 0) }

    /// Whether one more of `holder`'s has a seat now, or a place in the queue.
    func admits(_ holder: Holder) -> Bool {
        if free > 0 && !isCapped(holder) { return true }
        guard queue.count < queueLimit else { return false }
        guard case .owner(let name) = holder, !name.isEmpty else { return true }
        return queue.count { $0.holder == holder } < max(1, queueLimit / 2)
    }

    mutating func join(_ id: ID, _ holder: Holder, now: NIODeadline) { queue.append(Waiter(id: id, holder: holder, since: now)) }

    /// Hands out the open seats; answers who has one now.
    mutating func fill() -> [ID] {
        var seated: [ID] = []
        while open > 0, !queue.isEmpty {
            let held = held
            let able = queue.indices.filter { !isCapped(queue[$0].holder, holding: held[queue[$0].holder] ?? 0) }
            guard let next = able.min(by: { (held[queue[$0].holder] ?? 0, $0) < (held[queue[$1].holder] ?? 0, $1) }) else { break }
            let waiter = queue.remove(at: next)
            taken[waiter.id] = waiter.holder
            seated.append(waiter.id)
        }
        return seated
    }

    /// A seat, or a place in the queue, changes hands.
    mutating func assign(_ id: ID, to holder: Holder) {
        if taken[id] != nil { taken[id] = holder }
        if let index = queue.firstIndex(where: { $0.id == id }) { queue[index].holder = holder }
    }

    /// `id` is on its way out, and keeps its seat until it has left.
    mutating func leaving(_ id: ID) { if taken[id] != nil { taken[id] = .leaving } }

    /// Gives back a seat, or a place in the queue.
    mutating func leave(_ id: ID) {
        if taken.removeValue(forKey: id) == nil { queue.removeAll { $0.id == id } }
    }
}
