import JSONText
import NIOCore

/// Subscriptions to a legacy child: it knows `resources/subscribe` and tells list changes unasked, so a listen is kept here and fed
/// from what it says.
struct LegacyListens {
    struct Listen {
        var call: CallID
        /// The id of the caller's request, raw.
        var id: ByteBuffer
        var granted: ListenFilter
        /// It is a session's own, and hears what the child says outside of calls, whatever was granted.
        var hearsAll = false
        /// What it wants of log messages; nil: all that come.
        var logSeverity: Int?
        /// What its client can be asked.
        var able: ClientCapabilities = []

        /// A log message is for whoever wants its level.
        func wants(_ message: Envelope) -> Bool {
            guard let logSeverity, message.method == "notifications/message" else { return true }
            return message.level.flatMap(LogLevel.severity) ?? logSeverity >= logSeverity
        }
    }

    /// At a time, for one child.
    static let limit = 64

    private var listens: [CallID: Listen] = [:]
    private var counts: [String: Int] = [:]

    var all: [Listen] { listens.values.sorted { $0.call.rawValue < $1.call.rawValue } }
    var isFull: Bool { listens.count >= Self.limit }

    /// - Returns: The resources that nobody had subscribed to.
    mutating func add(_ listen: Listen) -> [String] {
        listens[listen.call] = listen
        return listen.granted.uris.filter { uri in
            counts[uri, default: 0] += 1
            return counts[uri] == 1
        }
    }

    /// - Returns: The resources that nobody is subscribed to any more; nil when there is no such listen.
    mutating func remove(_ call: CallID) -> [String]? {
        guard let listen = listens.removeValue(forKey: call) else { return nil }
        return listen.granted.uris.filter { uri in
            counts[uri, default: 1] -= 1
            guard counts[uri] == 0 else { return false }
            counts[uri] = nil
            return true
        }
    }

    func wanting(_ method: String, uri: String?) -> [Listen] {
        listens.values.filter { $0.hearsAll || $0.granted.wants(method, uri: uri) }.sorted { $0.call.rawValue < $1.call.rawValue }
    }

    mutating func removeAll() -> [CallID] {
        defer { (listens, counts) = ([:], [:]) }
        return listens.keys.sorted { $0.rawValue < $1.rawValue }
    }
}

extension Back {
    /// `subscriptions/listen` for a legacy child.
    mutating func listen(_ request: MCPRequest, call: CallID, _ identity: ServerIdentity) -> [BackAction] {
        let wanted: ListenFilter
        do throws(MCPError) {
            wanted = try ListenFilter(request)
        } catch {
            return [.finish(call, .error(error))]
        }
        guard !listens.isFull else { return [.finish(call, .error(.internalError("too many subscriptions to this server")))] }
        let id = request.id.map { ByteBuffer(bytes: $0.bytes) } ?? ByteBuffer(string: "null")
        // Of a child that several share nobody knows whose it is.
        let hearsAll = canAsk && isOneSessions && SessionWords.isMarked(request)
        let granted = identity.granting(wanted, isSessions: hearsAll)
        let able = ClientCapabilities(request.envelope.clientCapabilities.map(request.slice))
        let severity = request.envelope.logLevel.flatMap(LogLevel.severity)
        let new = listens.add(.init(call: call, id: id, granted: granted, hearsAll: hearsAll, logSeverity: severity, able: able))
        return [.notify(call, Subscription.acknowledged(granted, id: id))] + (hearsAll ? levelChange(request) : [])
            + new.map { subscription("resources/subscribe", $0) } + (hearsAll ? heard() : [])
    }

    /// The caller does not listen any more; nil when the call is no subscription.
    mutating func endListen(_ call: CallID) -> [BackAction]? {
        guard let unwanted = listens.remove(call) else { return nil }
        return unwanted.map { subscription("resources/unsubscribe", $0) }
            + [.finish(call, .failed(Undelivered(.outcomeUnknown, "the caller ended the subscription")))]
    }

    private mutating func subscription(_ method: String, _ uri: String) -> BackAction {
        let params = JSONValue.object(["uri": .string(uri)]).buffer
        return .write(JSONRPC.request(id: correlator.allocate(), method, params: params).asLine())
    }

    /// A list changed or a resource was updated: to whoever listens, and to the shell, which may keep a catalogue.
    mutating func changed(_ envelope: Envelope, _ message: ByteBuffer) -> [BackAction] {
        let uri = envelope.uri
        var actions: [BackAction] = [.broadcast(message)]
        // A modern child says which subscription it means.
        if envelope.subscriptionID != nil { return actions + subscribed(envelope, message) }
        for listen in listens.wanting(envelope.method ?? "", uri: uri) {
            actions.append(.notify(listen.call, Subscription.tagged(message, envelope, id: listen.id)))
        }
        return actions
    }

    /// A person is done at the URL of an elicitation: to what the client hears by itself, else under a call of its own. It has no other word
    /// in the modern dialect: fronts pass it on to clients of the handshake revisions alone.
    mutating func completed(_ message: ByteBuffer) -> [BackAction]? {
        guard canAsk, case .legacy = phase else { return nil }
        let sessions = listens.all.filter(\.hearsAll)
        if !sessions.isEmpty { return sessions.map { .notify($0.call, message) } }
        return correlator.anybody.map { [.notify($0, message)] }
    }

    /// A message of one subscription to a modern child, under its caller's id.
    mutating func subscribed(_ envelope: Envelope, _ message: ByteBuffer) -> [BackAction] {
        guard let span = envelope.subscriptionID, let id = message.integer(span), let entry = correlator[id], let call = entry.call,
            let own = entry.requestID
        else {
            counters.droppedNotifications += 1
            return []
        }
        return [.notify(call, Subscription.tagged(message, envelope, id: own))]
    }
}
