import JSONText
import NIOCore

/// Which answer belongs to which call. Ids towards the child are our own integers, never a client's: clients reuse theirs.
///
/// An id doubles as the progress token of its call, so a token is as unique as the id.
struct Correlator {
    struct Entry {
        /// `nil` while the call waits for an answer of its client.
        var call: CallID?
        var method: String
        /// What the request acts on: `params.name` or `params.uri`.
        var target: String?
        /// `params.arguments`, JSON text.
        var arguments: ByteBuffer?
        /// The id of the caller's request, raw: kept for a subscription, whose notifications name it.
        var requestID: ByteBuffer?
        /// The capabilities that the caller declared, as text.
        var capabilities: ByteBuffer?
        /// The `clientInfo` of the caller, as text: who it says it is.
        var clientInfo: ByteBuffer?
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
            call: call, method: request.method, target: request.target, arguments: request.arguments,
            requestID: request.method == "subscriptions/listen" ? request.id : nil,
            capabilities: request.envelope.clientCapabilities.map(request.slice), clientInfo: request.envelope.clientInfo.map(request.slice),
            uri: request.uri,
            progressToken: request.envelope.progressToken.map(request.message.bytes),
            logSeverity: request.envelope.logLevel.flatMap(LogLevel.severity))
        ids[call] = id
        return id
    }

    mutating func close(id: Int) -> Entry? {
        guard let entry = entries.removeValue(forKey: id) else { return nil }
        if let call = entry.call { ids[call] = nil }
        return entry
    }

    /// The id under which a call went out.
    mutating func close(call: CallID) -> Int? {
        guard let id = ids.removeValue(forKey: call) else { return nil }
        entries[id] = nil
        return id
    }

    subscript(id: Int) -> Entry? { entries[id] }

    /// Calls that the child has not answered; a subscription is none.
    var openIDs: Set<Int> { Set(entries.lazy.filter { $0.value.method != "subscriptions/listen" }.map(\.key)) }

    /// The call whose caller hears a log message, which names no call: the oldest that asked for logs, where it cannot be of a call
    /// whose caller wants none.
    ///
    /// - Parameters:
    ///   - isOneClient: all callers that say they are one client are, which hears it under any of its calls; otherwise it is anybody's
    ///     only where one call is open.
    ///   - isPerRequest: the server logs for those calls alone that ask for it.
    func hearer(isOneClient: Bool, isPerRequest: Bool) -> Entry? {
        let open = entries.filter { $0.value.call != nil && $0.value.method != "subscriptions/listen" }
        let asking = open.filter { $0.value.logSeverity != nil }
        guard open.count == 1 || isOneClient && (isPerRequest || asking.count == open.count) && ClientName.isOne(open.map(\.value.clientInfo))
        else { return nil }
        return asking.min { $0.key < $1.key }?.value
    }

    /// The oldest open call, where all are one client's.
    var anybody: CallID? {
        let open = entries.filter { $0.value.call != nil }
        return ClientName.isOne(open.map(\.value.clientInfo)) ? open.min { $0.key < $1.key }?.value.call : nil
    }

    /// Whether `id` was given out at any time.
    func hasGiven(_ id: Int) -> Bool { id > 0 && id < nextID }

    /// The call that a question with these needs is for: the oldest one whose caller can be asked, one that somebody waits for first, and
    /// of those one that may end with a question in the modern dialect. Where nobody waits it is the latest call's: an earlier one may
    /// have been left for good.
    ///
    /// - Throws: where calls of several clients are open whose question it could be: one must not be asked what is another's.
    func addressee(of needed: ClientCapabilities) throws(MCPError) -> (id: Int, entry: Entry)? {
        let able = entries.filter { ClientCapabilities($0.value.capabilities).isSuperset(of: needed) }.sorted { $0.key < $1.key }
        guard ClientName.isOne(able.map(\.value.clientInfo)) else {
            throw .internalError("cannot tell whose question this is: calls of several clients are open")
        }
        let waiting = able.filter { $0.value.call != nil }
        let found = waiting.first { InputRequired.methods.contains($0.value.method) } ?? waiting.first ?? able.last
        return found.map { (id: $0.key, entry: $0.value) }
    }

    /// The call goes on without a caller.
    mutating func detach(id: Int) -> CallID? {
        guard let call = entries[id]?.call else { return nil }
        entries[id]?.call = nil
        // It may wait for long, and what is kept of its request keeps all of it.
        entries[id]?.arguments = nil
        let (capabilities, info) = (entries[id]?.capabilities, entries[id]?.clientInfo)
        entries[id]?.capabilities = capabilities.map { ByteBuffer(bytes: $0.readableBytesView) }
        entries[id]?.clientInfo = info.map { ByteBuffer(bytes: $0.readableBytesView) }
        ids[call] = nil
        return call
    }

    /// The call goes on for a caller that came back, with the token and the log level of its new request.
    mutating func attach(id: Int, _ call: CallID, _ request: MCPRequest) {
        guard entries[id] != nil else { return }
        entries[id]?.call = call
        entries[id]?.arguments = request.arguments
        entries[id]?.progressToken = request.envelope.progressToken.map(request.message.bytes)
        entries[id]?.logSeverity = request.envelope.logLevel.flatMap(LogLevel.severity)
        entries[id]?.capabilities = request.envelope.clientCapabilities.map(request.slice)
        entries[id]?.clientInfo = request.envelope.clientInfo.map(request.slice)
        ids[call] = id
    }

    /// Ends every call, oldest first.
    mutating func closeAll() -> [Entry] {
        defer {
            entries = [:]
            ids = [:]
        }
        return entries.sorted { $0.key < $1.key }.map(\.value)
    }
}
