import JSONText
import NIOCore

/// Which answer belongs to which call. Ids towards the child are our own integers, never a client's: clients reuse theirs.
///
/// An id doubles as the progress token of its call, so a token is as unique as the id.
struct Correlator {
    struct Entry {
        var call: CallID
        var method: String
        /// `params.uri`, which the translation of "resource not found" needs.
        var uri: String?
        /// The caller's progress token, raw.
        var progressToken: [UInt8]?
        /// The least severe log message the caller asked for; `nil` asks for none.
        var logSeverity: Int?
    }

    private var nextID = 1
    private var entries: [Int: Entry] = [:]
    private var ids: [CallID: Int] = [:]

    var count: Int { entries.count }

    /// An id for a request of our own, which has no call.
    mutating func allocate() -> Int {
        defer { nextID += 1 }
        return nextID
    }

    mutating func open(_ call: CallID, _ request: MCPRequest) -> Int {
        let id = allocate()
        entries[id] = Entry(
            call: call, method: request.method, uri: request.uri, progressToken: request.envelope.progressToken.map(request.message.bytes),
            logSeverity: request.envelope.logLevel.flatMap(LogLevel.severity))
        ids[call] = id
        return id
    }

    mutating func close(id: Int) -> Entry? {
        guard let entry = entries.removeValue(forKey: id) else { return nil }
        ids[entry.call] = nil
        return entry
    }

    /// The id under which a call went out.
    mutating func close(call: CallID) -> Int? {
        guard let id = ids.removeValue(forKey: call) else { return nil }
        entries[id] = nil
        return id
    }

    subscript(id: Int) -> Entry? { entries[id] }

    /// The only call in flight, which alone a message without a token can be attributed to.
    var sole: Entry? { entries.count == 1 ? entries.first?.value : nil }

    /// Whether `id` was given out at any time.
    func hasGiven(_ id: Int) -> Bool { id > 0 && id < nextID }

    /// Ends every call, oldest first.
    mutating func closeAll() -> [Entry] {
        defer {
            entries = [:]
            ids = [:]
        }
        return entries.sorted { $0.key < $1.key }.map(\.value)
    }
}
