/// Which machine of a connector that everybody shares a new session goes to: pure.
enum MachinePlacement {
    struct Candidate: Sendable, Equatable {
        enum State: Sendable, Equatable {
            case ready
            /// It comes up by itself.
            case starting
            /// It runs when somebody starts it.
            case stopped
            /// It runs, and does not tell how much it has to do.
            case silent
        }

        var machine: String
        var state: State
        /// Sessions that it has, those among them that are on their way to it.
        var sessions: Int
        /// Sessions at most, as its agent says; nil where that is not known.
        var limit: Int?

        var hasRoom: Bool { limit.map { sessions < $0 } ?? true }
    }

    enum Choice: Sendable, Equatable {
        case use(String)
        /// To be started, if it is stopped, and waited for.
        case wait(String)
        case create
        case none
    }

    /// The least loaded that is ready and has room; else one that comes up; else one more, started or made; and when there are as many as
    /// there may be, the least loaded all the same: the machine itself makes room among its sessions, and is fair about it.
    static func choose(among candidates: [Candidate], max: Int) -> Choice {
        func least(_ state: Candidate.State, withRoom: Bool) -> Candidate? {
            candidates.filter { $0.state == state && ($0.hasRoom || !withRoom) }
                .min { ($0.sessions, $0.machine) < ($1.sessions, $1.machine) }
        }
        if let ready = least(.ready, withRoom: true) { return .use(ready.machine) }
        if let coming = least(.starting, withRoom: true) { return .wait(coming.machine) }
        let live = candidates.count { $0.state != .stopped }
        if live < max {
            if let stopped = least(.stopped, withRoom: false) { return .wait(stopped.machine) }
            if candidates.count < max { return .create }
        }
        if let ready = least(.ready, withRoom: false) ?? least(.silent, withRoom: false) { return .use(ready.machine) }
        if let coming = least(.starting, withRoom: false) ?? least(.stopped, withRoom: false) { return .wait(coming.machine) }
        return .none
    }

    /// Who goes when there are more than `max`: what an operator or we have cordoned, what does not run, what has fewest sessions.
    static func excess(_ candidates: [(candidate: Candidate, isCordoned: Bool)], max: Int) -> [String] {
        let order = candidates.sorted { first, second in
            func rank(_ one: (candidate: Candidate, isCordoned: Bool)) -> (Int, Int, Int, String) {
                (one.isCordoned ? 0 : 1, one.candidate.state == .stopped ? 0 : 1, one.candidate.sessions, one.candidate.machine)
            }
            return rank(first) < rank(second)
        }
        return order.prefix(Swift.max(0, order.count - max)).map(\.candidate.machine)
    }

    /// The name of one more: the lowest number that is free. The same for every gateway, so that none makes two of it.
    static func name(generation: Int, taken: Set<String>) -> String {
        let first = "g\(generation)"
        guard taken.contains(first) else { return first }
        var number = 2
        while taken.contains("\(first)-\(number)") { number += 1 }
        return "\(first)-\(number)"
    }
}

/// Sessions that were sent to a machine a moment ago, and that it does not tell of yet: what comes at once is spread, too.
struct RecentPlacements {
    private let memory: Duration
    private var times: [String: [ContinuousClock.Instant]] = [:]

    init(memory: Duration = .seconds(3)) { self.memory = memory }

    mutating func add(_ machine: String, now: ContinuousClock.Instant) { times[machine, default: []].append(now) }

    mutating func count(_ machine: String, now: ContinuousClock.Instant) -> Int {
        let recent = (times[machine] ?? []).filter { $0 + memory > now }
        times[machine] = recent.isEmpty ? nil : recent
        return recent.count
    }
}
