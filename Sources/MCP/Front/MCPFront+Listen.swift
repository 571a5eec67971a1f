import JSONText
import NIOCore

/// Subscriptions: a modern client's own, and what a legacy session hears of on its GET stream.
extension MCPFront {
    /// Holds a modern client's subscription open.
    func listen(_ request: MCPRequest, _ context: CallContext, _ exchange: any FrontExchange) {
        let number = nextNumber()
        let listen = FrontListen(request, exchange: exchange) { [weak self] in self?.listens[number] = nil }
        listens[number] = listen
        listen.started(service.call(request, in: context, sink: listen))
    }

    // MARK: Legacy sessions

    /// `resources/subscribe` and `resources/unsubscribe`: the session's subscription is replaced by one with the other set.
    func subscribe(
        _ uri: String, _ isWanted: Bool, session id: String, context: CallContext, completion: @escaping (Result<ByteBuffer, MCPError>) -> Void
    ) {
        var uris = sessions[id]?.subscribed ?? []
        guard isWanted != uris.contains(uri) else { return completion(.success(ByteBuffer(string: "{}"))) }
        guard !isWanted || uris.count < ListenFilter.maximumURIs else { return completion(.failure(.invalidParams("too many subscriptions"))) }
        if isWanted { uris.append(uri) } else { uris.removeAll { $0 == uri } }
        relisten(session: id, uris: uris, context: context) { [weak self] result in
            switch result {
            case .failure(let error):
                if isWanted { self?.dropSubscription(to: uri, session: id) }
                completion(.failure(error))
            case .success(let granted):
                guard !isWanted || granted.uris.contains(uri) else {
                    self?.dropSubscription(to: uri, session: id)
                    return completion(.failure(.methodNotFound("resources/subscribe")))
                }
                completion(.success(ByteBuffer(string: "{}")))
            }
        }
    }

    private func dropSubscription(to uri: String, session id: String) {
        change(session: id) { $0.subscribed.removeAll { $0 == uri } }
    }

    /// Begins what the session wants to hear of, unless it goes on already: after its stream was opened, and with every request, since
    /// the server may have been put away meanwhile.
    func keepListening(session id: String, context: @autoclosure () -> CallContext) {
        guard let session = sessions[id], session.wantsToListen, session.listen?.hasEnded ?? true else { return }
        relisten(session: id, uris: session.subscribed, context: context()) { _ in }
    }

    /// Nothing is listened to for a session that has neither stream nor subscriptions.
    func stopListeningIfUnwanted(session id: String) {
        guard let session = sessions[id], !session.wantsToListen, let listen = session.listen else { return }
        change(session: id) { $0.listen = nil }
        listen.cancel()
    }

    /// The new subscription is there before the old one goes, so that nothing is missed.
    private func relisten(
        session id: String, uris: [String], context: CallContext, completion: @escaping (Result<ListenFilter, MCPError>) -> Void
    ) {
        let old = sessions[id]?.listen
        let listen = SessionListen(
            uris: uris,
            acknowledged: { [weak self] result in
                switch result {
                case .success: old?.cancel()
                case .failure(let error):
                    self?.change(session: id) { session in
                        if session.listen?.hasEnded == true { session.listen = old }
                        // A service without subscriptions is not asked again with every request.
                        if error.code == MCPError.Code.methodNotFound { session.canListen = false }
                    }
                }
                completion(result)
            }, deliver: { [weak self] message in self?.toStream(message, session: id) })
        change(session: id) {
            $0.subscribed = uris
            $0.listen = listen
        }
        listen.started(service.call(listen.request, in: context, sink: listen))
    }

    private func toStream(_ message: ByteBuffer, session id: String) {
        guard let number = sessions[id]?.stream else { return }
        _ = streams[number]?.event(message, id: nil)
    }
}
