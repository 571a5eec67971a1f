import MCP
import NIOCore

/// The stand-alone bridge's sessions: in memory, one caller. Confined to the loop.
final class MemorySessions: FrontHost {
    private struct Entry {
        var record: LegacySessionRecord
        var lastUse: NIODeadline
    }

    private let children: Sessions
    private let limit: Int
    private var entries: [String: Entry] = [:]
    /// Told when a session ended other than by its client.
    var onEvicted: ((String) -> Void)?

    /// The child of clients that speak the stateless revision.
    static let statelessKey = SessionKey(id: "stateless")

    init(children: Sessions, limit: Int) {
        self.children = children
        self.limit = limit
    }

    func identity(for caller: FrontCaller, version: String, completion: @escaping (Result<ServerIdentity, MCPError>) -> Void) {
        children.warm { completion($0.mapError { MCPError($0) }) }
    }

    func openSession(_ new: LegacySessionRecord, caller: FrontCaller, completion: @escaping (Result<String, MCPError>) -> Void) {
        // Clients seldom delete what they opened: the longest unused one makes room.
        if entries.count >= limit, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse })?.key {
            close(oldest)
            onEvicted?(oldest)
        }
        var random = SystemRandomNumberGenerator()
        let halves = [random.next(), random.next()].map { value in
            let digits = String(value as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }
        let id = halves.joined()
        entries[id] = Entry(record: new, lastUse: .now())
        completion(.success(id))
    }

    func session(id: String, caller: FrontCaller, completion: @escaping (LegacySessionRecord?) -> Void) {
        entries[id]?.lastUse = .now()
        completion(entries[id]?.record)
    }

    func closeSession(id: String, caller: FrontCaller) { close(id) }

    func context(for caller: FrontCaller, session: String?) -> CallContext {
        CallContext(session: session.map { SessionKey(id: $0) } ?? Self.statelessKey)
    }

    private func close(_ id: String) {
        entries[id] = nil
        children.end(session: id) { _ in }
    }
}
