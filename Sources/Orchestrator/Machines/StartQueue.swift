import Glibc
import Synchronization

/// Lets a few machines start at once, in the order in which they came, those that somebody waits for before the others.
///
/// A start is mostly processor time: of a hundred at once on two processors none is ready within its time, each is ended for it, and all
/// begin again. One after the other they are all up soon. Nobody keeps a place for long: what starts slowly because it waits for
/// something else, or never becomes ready, must not hold up the rest.
final class StartQueue: Sendable {
    /// How long one that starts keeps its place, at most.
    static let standardHold = Duration.seconds(10)

    private struct Waiting {
        let id: String
        var isAwaited: Bool
        let turn: @Sendable () -> Void
    }

    private struct Places {
        var waiting: [Waiting] = []
        /// Who starts, and since when.
        var taken: [String: ContinuousClock.Instant] = [:]

        mutating func insert(_ one: Waiting) {
            let index = one.isAwaited ? waiting.firstIndex { !$0.isAwaited } : nil
            waiting.insert(one, at: index ?? waiting.endIndex)
        }
    }

    private let width: Int
    private let hold: Duration
    private let places = Mutex(Places())

    /// - Parameter width: how many start at once.
    init(width: Int = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) * 2, hold: Duration = standardHold) {
        self.width = max(1, width)
        self.hold = hold
    }

    /// Takes a place in the queue. One that is in it already keeps its place, or goes to the front part if somebody waits for it now.
    ///
    /// - Parameter turn: called once, at once or later, by whoever makes room; not after ``leave(_:)``.
    func enter(_ id: String, isAwaited: Bool, at now: ContinuousClock.Instant = .now, turn: @escaping @Sendable () -> Void) {
        places.withLock { places in
            if let index = places.waiting.firstIndex(where: { $0.id == id }) {
                guard isAwaited, !places.waiting[index].isAwaited else { return }
                let one = places.waiting.remove(at: index)
                places.insert(.init(id: id, isAwaited: true, turn: one.turn))
            } else {
                places.taken[id] = nil
                places.insert(.init(id: id, isAwaited: isAwaited, turn: turn))
            }
        }
        handOn(at: now)
    }

    /// It is ready, has failed, or shall not start any more.
    func leave(_ id: String) {
        let hadPlace = places.withLock { places in
            places.waiting.removeAll { $0.id == id }
            return places.taken.removeValue(forKey: id) != nil
        }
        if hadPlace { handOn(at: .now) }
    }

    /// Gives the places that are free, and those that were kept for too long, to who waits.
    func handOn(at now: ContinuousClock.Instant) {
        let turns = places.withLock { places -> [@Sendable () -> Void] in
            guard !places.waiting.isEmpty else { return [] }
            places.taken = places.taken.filter { $0.value + hold > now }
            let next = places.waiting.prefix(max(0, width - places.taken.count))
            for one in next { places.taken[one.id] = now }
            places.waiting.removeFirst(next.count)
            return next.map(\.turn)
        }
        for turn in turns { turn() }
    }
}
