/// Which children may have a process: so many at once and no more, those that are leaving included. First come, first
/// served. A pure value.
struct Seats<ID: Hashable> {
    private let limit: Int
    private var taken: Set<ID> = []
    private var queue: [ID] = []

    init(limit: Int) {
        self.limit = limit
    }

    /// Seats that nobody has and nobody waits for.
    var free: Int { max(0, limit - taken.count - queue.count) }
    var waiting: Int { queue.count }

    func holds(_ id: ID) -> Bool { taken.contains(id) }

    /// `false`: `id` waits, and gets its seat from somebody's `leave`.
    mutating func take(_ id: ID) -> Bool {
        if free > 0 {
            taken.insert(id)
            return true
        }
        queue.append(id)
        return false
    }

    /// Gives back a seat, or a place in the queue; answers who gets a seat now.
    mutating func leave(_ id: ID) -> [ID] {
        if taken.remove(id) == nil { queue.removeAll { $0 == id } }
        let next = Array(queue.prefix(max(0, limit - taken.count)))
        queue.removeFirst(next.count)
        taken.formUnion(next)
        return next
    }
}
