import MCP
import NIOCore
import StdioBridge

/// The stand-alone bridge's sessions: in memory. Confined to the loop.
final class MemorySessions: FrontHost {
    private struct Entry {
        var record: LegacySessionRecord
        var principal: String
        var lastUse: NIODeadline
        let opened: NIODeadline
    }

    private let children: Sessions
    private let limit: Int
    private let idle: TimeAmount
    private let age: TimeAmount
    private let sharing: Sharing
    /// Callers are known, and share the room for children fairly.
    private let areSharedOut: Bool
    private let now: () -> NIODeadline
    private var entries: [String: Entry] = [:]
    /// As the server's latest list of tools says.
    private var parameterHeaders: [String: ParameterHeaders] = [:]
    /// Sessions with a stream or a call.
    var inUse: () -> Set<String> = { [] }
    /// Told when a session ended other than by its client.
    var onEvicted: ((String) -> Void)?

    /// - Parameter now: the clock, which a test may set.
    init(
        children: Sessions, limit: Int, idle: TimeAmount, age: TimeAmount, sharing: Sharing, areSharedOut: Bool = false,
        now: @escaping () -> NIODeadline = { .now() }
    ) {
        self.now = now
        self.idle = idle
        self.age = age
        self.areSharedOut = areSharedOut
        self.children = children
        self.limit = limit
        self.sharing = sharing
    }

    func identity(
        for caller: FrontCaller, version: String, declaring: ByteBuffer?, completion: @escaping (Result<ServerIdentity, MCPError>) -> Void
    ) {
        let era: Era = version == ProtocolVersion.modern ? .modern : .legacy
        children.warm(for: era, declaring: declaring) { completion($0.mapError { MCPError($0) }) }
    }

    func openSession(_ new: LegacySessionRecord, caller: FrontCaller, completion: @escaping (Result<String, MCPError>) -> Void) {
        // Clients seldom delete what they opened: what is over goes, else the longest unused one makes room.
        let now = now()
        for id in inUse() { entries[id]?.lastUse = now }
        for (id, entry) in entries where isOver(entry, now) { evict(id) }
        if entries.count >= limit, let oldest = longestUnused() { evict(oldest) }
        let id = RandomID.hex128()
        entries[id] = Entry(record: new, principal: caller.principal, lastUse: now, opened: now)
        completion(.success(id))
    }

    func session(id: String, caller: FrontCaller, completion: @escaping (LegacySessionRecord?) -> Void) {
        guard let index = entries.index(forKey: id), entries.values[index].principal == caller.principal else { return completion(nil) }
        let entry = entries.values[index]
        let now = now()
        if isOver(entry, now), !(now - entry.opened < age && inUse().contains(id)) {
            evict(id)
            return completion(nil)
        }
        entries.values[index].lastUse = now
        completion(entry.record)
    }

    /// Forgets what is over: for sessions that nobody asks for any more.
    func sweep() {
        let now = now()
        for id in inUse() { entries[id]?.lastUse = now }
        for (id, entry) in entries where isOver(entry, now) { evict(id) }
    }

    private func isOver(_ entry: Entry, _ now: NIODeadline) -> Bool { now - entry.lastUse >= idle || now - entry.opened >= age }

    private func evict(_ id: String) {
        close(id)
        onEvicted?(id)
    }

    func closeSession(id: String, caller: FrontCaller) {
        if entries[id]?.principal == caller.principal { close(id) }
    }

    func learned(_ headers: [String: ParameterHeaders], isFirstPage: Bool) {
        parameterHeaders = isFirstPage ? headers : parameterHeaders.merging(headers) { $1 }
    }

    func parameterHeaders(for caller: FrontCaller) -> [String: ParameterHeaders] { parameterHeaders }

    func context(for caller: FrontCaller, session: String?) -> CallContext {
        let owner = areSharedOut ? caller.principal : ""
        return switch sharing {
        case .session: CallContext(session: SessionKey(id: session ?? Self.stateless(caller.principal), owner: owner))
        case .principal: CallContext(session: SessionKey(id: "principal " + caller.principal, owner: owner))
        case .shared: CallContext(session: SessionKey(id: "shared"))
        }
    }

    /// The session of a principal's requests that name none.
    static func stateless(_ principal: String) -> String { "stateless " + principal }

    /// Of whoever has the most: nobody's sessions make room for another's.
    private func longestUnused() -> String? {
        let counts = entries.values.reduce(into: [String: Int]()) { $0[$1.principal, default: 0] += 1 }
        let most = counts.values.max()
        return entries.filter { counts[$0.value.principal] == most }.min { $0.value.lastUse < $1.value.lastUse }?.key
    }

    private func close(_ id: String) {
        entries[id] = nil
        children.end(session: id) { _ in }
    }
}
