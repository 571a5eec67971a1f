import JSONText
import NIOCore

/// The handshake revisions over streamable HTTP.
extension MCPFront {
    func legacy(_ request: FrontRequest, _ envelope: Envelope, _ caller: FrontCaller, _ exchange: any FrontExchange) {
        if envelope.kind == .request, envelope.method == "initialize" { return initialize(request, envelope, caller, exchange) }
        withSession(request, caller, exchange, id: envelope.id.map(request.body.slice)) { [self] id, record in
            legacyMessage(request.body, envelope, session: id, record, caller, exchange)
        }
    }

    /// Finds the request's session, or answers 400 or 404. 404 makes a client initialize again.
    private func withSession(
        _ request: FrontRequest, _ caller: FrontCaller, _ exchange: any FrontExchange, id: ByteBuffer? = nil,
        then body: @escaping (String, LegacySessionRecord) -> Void
    ) {
        guard let session = request.sessionID else {
            return refuse(exchange, 400, .invalidRequest("Mcp-Session-Id is missing; send initialize first"), id: id)
        }
        host.session(id: session, caller: caller) { [self] record in
            guard let record else {
                return refuse(exchange, 404, MCPError(code: MCPError.Code.sessionNotFound, message: "Session not found"), id: id)
            }
            body(session, record)
        }
    }

    private func initialize(_ request: FrontRequest, _ envelope: Envelope, _ caller: FrontCaller, _ exchange: any FrontExchange) {
        let message = request.body
        let id = envelope.id.map(message.slice)
        let record: LegacySessionRecord
        do throws(MCPError) {
            record = try LegacyFront.record(envelope, message)
        } catch {
            return refuse(exchange, 200, error, id: id)
        }
        host.identity(for: caller, version: record.protocolVersion, declaring: record.declared) { [self] result in
            switch result {
            case .failure(let error): refuse(exchange, 200, error, id: id)
            case .success(let identity):
                host.openSession(record, caller: caller) { [self] result in
                    switch result {
                    case .failure(let error): refuse(exchange, 200, error, id: id)
                    case .success(let session):
                        answer(
                            exchange, envelope, message, result: identity.initializeResult(version: record.protocolVersion),
                            headers: [("Mcp-Session-Id", session)])
                    }
                }
            }
        }
    }

    /// One message of a session.
    private func legacyMessage(
        _ message: ByteBuffer, _ envelope: Envelope, session id: String, _ record: LegacySessionRecord, _ caller: FrontCaller,
        _ exchange: any FrontExchange, streams: Bool = true
    ) {
        guard envelope.kind == .request, let method = envelope.method else {
            if envelope.method == "notifications/cancelled", let key = envelope.requestID.flatMap({ RequestKey($0, in: message) }) {
                cancel(key, session: id)
            }
            if envelope.kind == .response || envelope.kind == .errorResponse { answered(envelope, message, session: id) }
            if envelope.method == SessionWords.rootsNotification { rootsChanged(session: id, record, caller) }
            // Other notifications change nothing here.
            return exchange.reply(status: 202, headers: [], body: nil)
        }
        let rawID = envelope.id.map(message.slice)
        switch method {
        case "ping":
            answer(exchange, envelope, message, result: ByteBuffer(string: "{}"))
        case "logging/setLevel":
            guard let level = envelope.level, LogLevel.severity(level) != nil else {
                return refuse(exchange, 200, .invalidParams("params.level must be a log level"), id: rawID)
            }
            change(session: id) { $0.logLevel = level }
            relisten(session: id, context: self.context(for: caller, session: id, declaring: record.declared))
            answer(exchange, envelope, message, result: ByteBuffer(string: "{}"))
        case "resources/subscribe", "resources/unsubscribe":
            guard let uri = envelope.uri else { return refuse(exchange, 200, .invalidParams("params.uri must be a string"), id: rawID) }
            // Also in a batch: what the session hears is none of it.
            let context = self.context(for: caller, session: id, declaring: record.declared)
            subscribe(uri, method == "resources/subscribe", session: id, context: context) { [self] result in
                switch result {
                case .success(let result): answer(exchange, envelope, message, result: result)
                case .failure(let error): refuse(exchange, 200, error, id: rawID)
                }
            }
        case let method where LegacyFront.refuses(method):
            refuse(exchange, 200, .methodNotFound(method), id: rawID)
        default:
            if let error = ModernLadder.badParams(envelope, method) { return refuse(exchange, 200, error, id: rawID) }
            let capabilities = streams ? record.declared : LegacyFront.declared(record.clientCapabilities, canBeAsked: false)
            let request = LegacyFront.modernised(
                message, envelope, method: method, record: record, capabilities: capabilities,
                logLevel: sessions[id]?.logLevel ?? LegacySession.defaultLogLevel)
            var context = self.context(for: caller, session: id)
            context.clientCapabilities = capabilities
            let key = envelope.id.flatMap { RequestKey($0, in: message) }
            start(
                request, era: .legacy, context: context, caller: caller, exchange: exchange, session: key.map { (id: id, key: $0) },
                streams: streams, primes: ProtocolVersion.primes(record.protocolVersion))
        }
    }

    // MARK: GET and DELETE

    func openStream(_ request: FrontRequest, _ caller: FrontCaller, _ exchange: any FrontExchange) {
        guard AcceptHeader(request.accept).eventStream else {
            return refuse(exchange, 406, .invalidRequest("Accept must list text/event-stream"))
        }
        withSession(request, caller, exchange) { [self] id, record in
            if let eventID = request.lastEventID { return resume(after: eventID, session: id, record, caller, exchange) }
            adopt(stream: exchange, session: id, record, caller, primes: ProtocolVersion.primes(record.protocolVersion))
        }
    }

    func deleteSession(_ request: FrontRequest, _ caller: FrontCaller, _ exchange: any FrontExchange) {
        withSession(request, caller, exchange) { [self] id, _ in
            host.closeSession(id: id, caller: caller)
            sessionEnded(id)
            exchange.reply(status: 200, headers: [], body: nil)
        }
    }

    // MARK: Batches

    /// An array of messages, which only revision 2025-03-26 has. Its answers come together, as one array.
    func batch(_ request: FrontRequest, _ caller: FrontCaller, _ exchange: any FrontExchange) {
        withSession(request, caller, exchange) { [self] id, record in
            guard record.protocolVersion == ProtocolVersion.batching else {
                return refuse(exchange, 400, .invalidRequest("batches are not part of revision \(record.protocolVersion)"))
            }
            guard let messages = Batch.messages(request.body) else {
                return refuse(exchange, 400, .invalidRequest("a batch has 1 to \(Batch.maximumCount) messages"))
            }
            let batch = Batch(count: messages.count, exchange: exchange)
            for message in messages {
                let part = BatchPart(batch)
                do throws(ScanError) {
                    let envelope = try EnvelopeScanner.scan(message.readableBytesSpan)
                    legacyMessage(message, envelope, session: id, record, caller, part, streams: false)
                } catch {
                    refuse(part, 400, MCPError(error), id: error.id.map(message.slice))
                }
            }
        }
    }
}
