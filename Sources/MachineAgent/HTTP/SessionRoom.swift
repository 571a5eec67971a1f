import NIOCore

/// Who makes room for one more session at a server that all share: the pure rules.
///
/// 1. While there is room, everybody has some, but the last quarter is never one owner's alone.
/// 2. An owner with half of the places or more pays with its own session that is idle longest.
/// 3. Otherwise the owner with most sessions pays with its own that is idle longest, if those are not fewer than the asker's.
/// 4. When nobody of those is idle, there is no room.
enum SessionRoom {
    struct Seat<ID> {
        var id: ID
        var owner: String
        var isIdle: Bool
        /// Its last request.
        var since: NIODeadline
    }

    enum Answer<ID: Equatable & Sendable>: Equatable, Sendable {
        case free
        /// This one is to leave.
        case retire(ID)
        case full
    }

    static func admit<ID: Equatable & Sendable>(_ owner: String, among seats: [Seat<ID>], limit: Int) -> Answer<ID> {
        var held: [String: Int] = [:]
        for seat in seats { held[seat.owner, default: 0] += 1 }
        let own = held[owner] ?? 0
        if seats.count < limit, own < max(1, limit - limit / 4) { return .free }
        func isLonger(_ a: Seat<ID>, _ b: Seat<ID>) -> Bool { a.since < b.since }
        let idle = seats.filter(\.isIdle)
        if own * 2 >= limit { return idle.filter { $0.owner == owner }.min(by: isLonger).map { .retire($0.id) } ?? .full }
        let payers = idle.filter { (held[$0.owner] ?? 0) >= own }
        let payer = payers.min { (-(held[$0.owner] ?? 0), $0.since) < (-(held[$1.owner] ?? 0), $1.since) }
        return payer.map { .retire($0.id) } ?? .full
    }
}
