import NIOCore

/// A legacy client that lost a stream and asks for the rest of it: GET with `Last-Event-ID`.
extension MCPFront {
    /// How long a call's questions wait for a client that went away.
    static let patienceForReturn: TimeAmount = .seconds(30)

    /// Sends what the client missed on one stream, and then what still comes on it.
    func resume(after eventID: String, session id: String, _ record: LegacySessionRecord, _ caller: FrontCaller, _ exchange: any FrontExchange) {
        guard let (stream, events) = sessions[id]?.history.replay(after: eventID),
            stream == EventHistory.sessionStream || calls[stream] != nil || !events.isEmpty
        else {
            // Not an empty 200: some clients would ask again once a second for ever.
            return refuse(exchange, 400, .invalidRequest("there is no stream to resume after the event of Last-Event-ID; open a new one"))
        }
        var isGone = false
        exchange.onClientGone = { isGone = true }
        exchange.openStream()
        for event in events where !isGone { _ = exchange.event(event.message, id: event.id) }
        // It is told once: who takes the exchange now would never hear of it.
        guard !isGone else { return }
        exchange.onClientGone = nil
        if stream == EventHistory.sessionStream {
            adopt(stream: exchange, session: id, record, caller, primes: false)
        } else if let call = calls[stream], call.session == id {
            call.attach(exchange)
        } else {
            exchange.closeStream()
        }
    }

    /// Bytes that all sessions' histories may hold; beyond it messages go out without being kept.
    static let historyLimit = 64 << 20

    /// Keeps a message of a session's stream; its event id.
    func remember(_ message: ByteBuffer, stream: Int, session id: String) -> String? {
        let before = sessions[id]?.history.bytes ?? 0
        guard historyBytes - before + message.readableBytes <= Self.historyLimit else { return nil }
        // In place: a copy of the session would copy its whole history.
        let event = sessions[id, default: LegacySession()].history.append(message, to: stream, now: service.eventLoop.now)
        historyBytes += (sessions[id]?.history.bytes ?? 0) - before
        return event
    }

    /// The id of an event that says nothing but where to begin again.
    func prime(stream: Int, session id: String) -> String {
        sessions[id, default: LegacySession()].history.prime(stream)
    }

    /// Nothing more comes on a stream.
    func streamEnded(_ stream: Int, session id: String) {
        sessions[id]?.history.end(stream, now: service.eventLoop.now)
        scheduleSweep()
    }

    /// Gives up waiting for clients that do not come back.
    func expireHistories() {
        let now = service.eventLoop.now
        for id in sessions.keys where sessions[id]?.history.isEmpty == false { change(session: id) { $0.history.expire(now: now) } }
        historyBytes = sessions.values.reduce(0) { $0 + $1.history.bytes }
        for id in Array(sessions.keys) { stopListeningIfUnwanted(session: id) }
        // One that is asked elsewhere has as long for its answer as anybody.
        for call in calls.values where call.asksThrough == nil && call.leftAt.map({ now - $0 >= Self.patienceForReturn }) ?? false {
            call.abandonRound()
        }
    }

    var keepsHistories: Bool { sessions.values.contains { !$0.history.isEmpty } }
}
