/// Which machine a session's calls for one connector go to, as this loop knows it: pure state, no I/O.
///
/// The row in the database is the truth; this is its cache. The first call of a (session, connector) asks for a search,
/// and every other one that comes meanwhile waits for the same search.
struct PinTable {
    struct Key: Hashable, Sendable {
        var session: String
        var connector: String
    }

    struct Entry: Equatable, Sendable {
        var pin: Pin
        var address: MachineAddress
        /// The machine's own, of its connector.
        var generation: Int
    }

    /// How the machine has to be found.
    enum Search: Equatable, Sendable {
        /// By the row, or a machine for a first pin.
        case find
        /// The machine may have gone: ask whether this boot still runs.
        case verify(Pin)
        /// The machine is lost: another boot is needed.
        case replace(Pin)
        /// The connector changed, and its machine may have.
        case renew(Pin)
    }

    enum Action: Equatable {
        /// Search, and tell the result by ``found(_:ticket:entry:moved:)`` or ``notFound(_:ticket:reason:)``.
        case search(Key, ticket: Int, Search)
        /// `moved`: the session had a machine before, and this is another boot.
        case proceed(waiter: Int, Entry, moved: Bool)
        case fail(waiter: Int, reason: NoMachine)
    }

    private enum State {
        case searching(ticket: Int, waiters: [Int])
        case ready(Entry, isSuspect: Bool)
        case lost(Pin)
    }

    static let maximumWaiters = 1_024

    private var states: [Key: State] = [:]
    private var connectorsOfSession: [String: Set<String>] = [:]
    private var lastTicket = 0

    var count: Int { states.count }

    /// A call needs its machine.
    ///
    /// - Parameter floor: a machine of an older generation of the connector does not serve any more.
    mutating func acquire(_ key: Key, floor: Int, waiter: Int) -> [Action] {
        switch states[key] {
        case nil:
            connectorsOfSession[key.session, default: []].insert(key.connector)
            return search(key, .find, waiter)
        case .searching(let ticket, var waiters):
            guard waiters.count < Self.maximumWaiters else { return [.fail(waiter: waiter, reason: "too many calls wait for a machine")] }
            waiters.append(waiter)
            states[key] = .searching(ticket: ticket, waiters: waiters)
            return []
        case .ready(let entry, let isSuspect):
            if entry.generation < floor { return search(key, .renew(entry.pin), waiter) }
            if isSuspect { return search(key, .verify(entry.pin), waiter) }
            return [.proceed(waiter: waiter, entry, moved: false)]
        case .lost(let pin):
            return search(key, .replace(pin), waiter)
        }
    }

    private mutating func search(_ key: Key, _ search: Search, _ waiter: Int) -> [Action] {
        lastTicket += 1
        states[key] = .searching(ticket: lastTicket, waiters: [waiter])
        return [.search(key, ticket: lastTicket, search)]
    }

    /// The search found a machine. A result that nobody waits for any more is kept; one of an ended session is dropped.
    mutating func found(_ key: Key, ticket: Int, entry: Entry, moved: Bool) -> [Action] {
        guard case .searching(ticket, let waiters) = states[key] else { return [] }
        states[key] = .ready(entry, isSuspect: false)
        return waiters.map { .proceed(waiter: $0, entry, moved: moved) }
    }

    /// The search failed; the next call searches again, from the row.
    mutating func notFound(_ key: Key, ticket: Int, reason: NoMachine) -> [Action] {
        guard case .searching(ticket, let waiters) = states[key] else { return [] }
        remove(key)
        return waiters.map { .fail(waiter: $0, reason: reason) }
    }

    /// The machine of `epoch` is gone for certain. A loss that somebody else has dealt with already changes nothing.
    mutating func lost(_ key: Key, epoch: Int) {
        guard case .ready(let entry, _) = states[key], entry.pin.epoch == epoch else { return }
        states[key] = .lost(entry.pin)
    }

    /// The machine of `epoch` may be gone: the next call asks first.
    mutating func suspect(_ key: Key, epoch: Int) {
        guard case .ready(let entry, _) = states[key], entry.pin.epoch == epoch else { return }
        states[key] = .ready(entry, isSuspect: true)
    }

    /// A waiting call was cancelled. The search goes on for whoever comes next.
    mutating func abandon(_ key: Key, waiter: Int) {
        guard case .searching(let ticket, let waiters) = states[key] else { return }
        states[key] = .searching(ticket: ticket, waiters: waiters.filter { $0 != waiter })
    }

    /// A session ended.
    ///
    /// - Returns: Where it had machines, and what to tell those who wait.
    mutating func end(session: String) -> (entries: [Entry], actions: [Action]) {
        var entries: [Entry] = []
        var actions: [Action] = []
        for connector in connectorsOfSession[session] ?? [] {
            take(Key(session: session, connector: connector), into: &entries, &actions, reason: "the session ended")
        }
        return (entries, actions)
    }

    /// A connector is gone or was replaced by another one of the same name.
    mutating func forget(connector: String) -> [Action] {
        var entries: [Entry] = []
        var actions: [Action] = []
        for key in states.keys where key.connector == connector {
            take(key, into: &entries, &actions, reason: "the connector was removed")
        }
        return actions
    }

    private mutating func take(_ key: Key, into entries: inout [Entry], _ actions: inout [Action], reason: NoMachine) {
        switch states[key] {
        case .searching(_, let waiters): actions += waiters.map { .fail(waiter: $0, reason: reason) }
        case .ready(let entry, _): entries.append(entry)
        case .lost, nil: break
        }
        remove(key)
    }

    private mutating func remove(_ key: Key) {
        states[key] = nil
        connectorsOfSession[key.session]?.remove(key.connector)
        if connectorsOfSession[key.session]?.isEmpty == true { connectorsOfSession[key.session] = nil }
    }
}
