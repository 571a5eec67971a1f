import MCP
import NIOCore

/// The sessions this loop knows: pure state. A session is one principal's at one virtual MCP.
struct SessionTable {
    struct Owner: Hashable, Sendable {
        var principal: String
        var slug: String
    }

    enum Kind: Equatable {
        case legacy(LegacySessionRecord)
        /// No session of the protocol: the key that a principal's calls at a virtual MCP share.
        case modern
    }

    private struct Session {
        var owner: Owner
        var kind: Kind
        var usedAt: NIODeadline
    }

    private var sessions: [String: Session] = [:]
    private var legacyOfPrincipal: [String: Set<String>] = [:]

    var count: Int { sessions.count }

    /// - Returns: A session that the caller has to end, to make room.
    mutating func add(_ id: String, _ owner: Owner, _ kind: Kind, limit: Int, now: NIODeadline) -> String? {
        var evicted: String?
        if case .legacy = kind {
            let own = legacyOfPrincipal[owner.principal] ?? []
            if own.count >= limit, !own.contains(id) {
                evicted = own.min { (sessions[$0]?.usedAt ?? now) < (sessions[$1]?.usedAt ?? now) }
            }
            legacyOfPrincipal[owner.principal, default: []].insert(id)
        }
        sessions[id] = Session(owner: owner, kind: kind, usedAt: now)
        return evicted
    }

    func owner(of id: String) -> Owner? { sessions[id]?.owner }
    func contains(_ id: String) -> Bool { sessions[id] != nil }

    func legacy(_ id: String) -> LegacySessionRecord? {
        if case .legacy(let record)? = sessions[id]?.kind { record } else { nil }
    }

    mutating func touch(_ id: String, now: NIODeadline) {
        sessions[id]?.usedAt = now
    }

    mutating func remove(_ id: String) {
        guard let session = sessions.removeValue(forKey: id) else { return }
        legacyOfPrincipal[session.owner.principal]?.remove(id)
        if legacyOfPrincipal[session.owner.principal]?.isEmpty == true { legacyOfPrincipal[session.owner.principal] = nil }
    }

    /// Sessions that were not used for too long.
    func idle(now: NIODeadline, legacy: TimeAmount, modern: TimeAmount) -> [String] {
        sessions.compactMap { id, session in
            let limit = session.kind == .modern ? modern : legacy
            return session.usedAt + limit <= now ? id : nil
        }
    }

    /// Legacy sessions that were used since `time`.
    func legacy(usedSince time: NIODeadline) -> [String] {
        sessions.compactMap { id, session in session.kind != .modern && session.usedAt >= time ? id : nil }
    }

    /// Sessions whose owner `isGone` says has no access any more.
    func ids(where isGone: (Owner) -> Bool) -> [String] {
        sessions.compactMap { isGone($0.value.owner) ? $0.key : nil }
    }
}

/// Sessions that have ended a moment ago, so that a row read just before does not bring one back.
struct RecentlyEnded {
    private static let limit = 1_024

    private var ids: Set<String> = []
    private var order: [String] = []
    private var next = 0

    func contains(_ id: String) -> Bool { ids.contains(id) }

    mutating func insert(_ id: String) {
        guard ids.insert(id).inserted else { return }
        if order.count < Self.limit { return order.append(id) }
        ids.remove(order[next])
        order[next] = id
        next = (next + 1) % Self.limit
    }
}
