import JSONText
import NIOCore

/// Subscriptions: a modern client's own, and what a legacy session hears of on its GET stream.
extension MCPFront {
    /// Holds a modern client's subscription open.
    func listen(_ request: MCPRequest, _ context: CallContext, _ exchange: any FrontExchange) {
        let number = nextNumber()
        // The request as it is understood, and nothing else of what came: it is kept for as long as the stream is open.
        let request = (try? ListenFilter(request)).map { MCPRequest.listen($0, id: request.id, like: request) } ?? request
        let listen = FrontListen(request, exchange: exchange) { [weak self] in self?.listens[number] = nil }
        listens[number] = listen
        listen.started(service.call(request, in: context, sink: listen))
    }

    // MARK: Legacy sessions

    /// Changes of one session's subscriptions that wait for an earlier one.
    private static let waitingChanges = 64

    /// `resources/subscribe` and `resources/unsubscribe`: the session's subscription is replaced by one with the other set.
    func subscribe(
        _ uri: String, _ isWanted: Bool, session id: String, context: CallContext, completion: @escaping (Result<ByteBuffer, MCPError>) -> Void
    ) {
        if let session = sessions[id], session.listen?.isPending == true {
            // One at a time: what is wanted next follows from what was granted.
            guard session.changes.count < Self.waitingChanges else { return completion(.failure(.internalError("too many subscriptions at a time"))) }
            return change(session: id) { session in
                session.changes.append { [weak self] error in
                    if let error { return completion(.failure(error)) }
                    self?.subscribe(uri, isWanted, session: id, context: context, completion: completion)
                }
            }
        }
        var uris = sessions[id]?.subscribed ?? []
        guard isWanted != uris.contains(uri) else { return completion(.success(ByteBuffer(string: "{}"))) }
        guard !isWanted || uris.count < ListenFilter.maximumURIs else { return completion(.failure(.invalidParams("too many subscriptions"))) }
        if isWanted { uris.append(uri) } else { uris.removeAll { $0 == uri } }
        relisten(session: id, uris: uris, context: context) { [weak self] result in
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let granted):
                guard !isWanted || granted.uris.contains(uri) else {
                    self?.change(session: id) { $0.subscribed.removeAll { $0 == uri } }
                    return completion(.failure(.methodNotFound("resources/subscribe")))
                }
                completion(.success(ByteBuffer(string: "{}")))
            }
        }
    }

    /// `logging/setLevel`: what the server says outside of calls follows it at once, and so does what the session hears of that.
    func relisten(session id: String, context: CallContext) {
        guard settings.sessionsHaveServers, let session = sessions[id], let listen = session.listen, !listen.hasEnded else { return }
        // One that waits begins with the level of then.
        guard !listen.isPending else {
            guard session.changes.count < Self.waitingChanges else { return }
            return change(session: id) { session in
                session.changes.append { [weak self] error in if error == nil { self?.relisten(session: id, context: context) } }
            }
        }
        guard listen.logLevel != session.logLevel else { return }
        relisten(session: id, uris: session.subscribed, context: context) { _ in }
    }

    private func nextChanges(session id: String) {
        while sessions[id]?.listen?.isPending != true {
            var next: ((MCPError?) -> Void)?
            change(session: id) { next = $0.changes.isEmpty ? nil : $0.changes.removeFirst() }
            guard let next else { return }
            next(nil)
        }
    }

    /// Begins what the session wants to hear of, unless it goes on already: after its stream was opened, and with every request, since
    /// the server may have been put away meanwhile.
    func keepListening(session id: String, context: @autoclosure () -> CallContext) {
        guard let session = sessions[id], session.wantsToListen, session.listen?.hasEnded ?? true else { return }
        let isAgain = session.listen != nil
        relisten(session: id, uris: session.subscribed, context: context()) { [weak self] result in
            guard isAgain, case .success(let granted) = result else { return }
            // What changed while nobody listened, nobody knows.
            for message in SubscriptionRestart.notifications(of: granted) { _ = self?.toStream(message, session: id) }
        }
    }

    /// Nothing is listened to for a session that has neither stream nor subscriptions.
    func stopListeningIfUnwanted(session id: String) {
        refuseUnheard(session: id)
        guard let session = sessions[id], !session.wantsToListen, let listen = session.listen else { return }
        change(session: id) { $0.listen = nil }
        listen.cancel()
    }

    /// The new subscription is there before the old one goes, so that nothing is missed.
    private func relisten(
        session id: String, uris: [String], context: CallContext, completion: @escaping (Result<ListenFilter, MCPError>) -> Void
    ) {
        let old = sessions[id]?.listen
        let before = sessions[id]?.subscribed ?? []
        let listen = SessionListen(
            uris: uris, capabilities: context.clientCapabilities, hearsAll: settings.sessionsHaveServers, logLevel: sessions[id]?.logLevel,
            acknowledged: { [weak self] result in
                switch result {
                case .success: old?.cancel()
                case .failure(let error):
                    // It may have been told to pause by a stream that went on while this one was asked for.
                    old?.resume()
                    if self?.sessions[id] == nil { break }
                    self?.change(session: id) { session in
                        if session.listen?.hasEnded == true { (session.listen, session.subscribed) = (old, before) }
                        // A service without subscriptions is not asked again with every request.
                        if error.code == MCPError.Code.methodNotFound { session.canListen = false }
                    }
                }
                completion(result)
                self?.nextChanges(session: id)
            },
            deliver: { [weak self] message, envelope in
                guard let self else { return .more }
                return switch envelope.method {
                case SessionWords.asked: ask(message, envelope, session: id, context: context)
                case SessionWords.withdrawn: withdraw(message, envelope, session: id)
                default: toStream(message, session: id)
                }
            },
            gaveUp: { [weak self] in self?.endStream(session: id) })
        change(session: id) {
            $0.subscribed = uris
            $0.listen = listen
        }
        listen.started(service.call(listen.request, in: context, sink: listen))
    }

    /// Its client does not read. One that is told so may come back with the id of the last event that it has read.
    private func endStream(session id: String) {
        guard let number = sessions[id]?.stream, let stream = streams.removeValue(forKey: number) else { return }
        change(session: id) { $0.close(stream: number) }
        streamEnded(EventHistory.sessionStream, session: id)
        stream.closeStream()
    }

    func toStream(_ message: ByteBuffer, session id: String) -> Demand {
        let number = sessions[id]?.stream
        // Without a stream it is kept for one that was there and may come back.
        guard sessions[id]?.isHeard == true else { return .more }
        let keeps = number.flatMap { streams[$0]?.isResumable } ?? true
        let event = keeps ? remember(message, stream: EventHistory.sessionStream, session: id) : nil
        guard let number, let stream = streams[number] else { return .more }
        let demand = stream.event(message, id: event)
        // The write itself may have found the client gone; nobody would say when to go on.
        return streams[number] == nil ? .more : demand
    }
}
