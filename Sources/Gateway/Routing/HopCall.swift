import Door
import JSONText
import Logging
import MCP
import NIOCore
import Sealing
import Wire

/// One call across the private hop: `POST /mcp`, with `PUT /credentials` in between where the machine asks for it.
final class HopCall: MCPCall, ExchangeHandler {
    /// How often a machine may ask for credentials within one call.
    private static let maximumPuts = 2
    private static let refusalLimit = 64 << 10
    private static let lingerTime: TimeAmount = .seconds(5)

    private enum Phase {
        /// The head of the answer is awaited.
        case posting
        case reading(DoorAnswer.Shape, status: Int)
        case putting
        case finished
    }

    private let hop: Hop
    private let door: MachineDoor
    private let id: Int
    private let session: SessionKey
    private let client: Era
    private let record: CallRecord
    private let message: ByteBuffer
    /// The caller's progress token, raw text.
    private let progressToken: ByteBuffer?
    private var sink: (any MCPSink)?
    private var exchange: (any Exchange)?
    private var putting: DoorReply?
    /// Cuts a stream that goes on after its answer.
    private var linger: Scheduled<Void>?
    private var phase = Phase.posting
    private var puts = 0
    private var body = BodyAccumulator()
    private var events: SSEReader

    init(hop: Hop, door: MachineDoor, request: MCPRequest, id: Int, context: CallContext, record: CallRecord, sink: any MCPSink) {
        self.hop = hop
        self.door = door
        self.id = id
        session = context.session
        client = context.clientEra
        self.record = record
        self.sink = sink
        message = request.renumbered(id: id, progressToken: id)
        progressToken = request.envelope.progressToken.map(request.slice)
        events = SSEReader(maxEventBytes: hop.answerLimit)
    }

    func start() {
        if puts == 0 { door.underWay += 1 }
        phase = .posting
        do {
            let head = try door.head(
                .mcp, principal: record.principal, session: session.id, fingerprint: session.fingerprint, client: client,
                length: message.readableBytes)
            record.callID = head.id
            exchange = hop.pool.request(to: door.endpoint, head: head.bytes, body: message, handler: self)
        } catch {
            hop.logger.error("cannot mint a token", metadata: ["error": "\(error)"])
            finish(.failed(Undelivered(.notDelivered, "the gateway cannot sign for the machine")))
        }
    }

    // MARK: MCPCall

    func cancel() {
        switch phase {
        case .finished: return
        case .putting:
            // What its end tells is our own doing, and says nothing of the machine.
            let reply = putting
            finish(.failed(Undelivered(.notDelivered, "cancelled")))
            reply?.cancel()
        case .posting, .reading:
            // Closing the connection is how the machine hears of it.
            let open = exchange
            finish(.failed(Undelivered(.outcomeUnknown, "cancelled")))
            open?.cancel()
        }
    }

    func resume() {
        exchange?.resume()
    }

    // MARK: ExchangeHandler

    func received(head: ResponseHead) {
        guard let shape = DoorAnswer.shape(status: head.status, contentType: head.fields["content-type"]) else {
            return giveUp("the machine's answer is neither JSON nor an event stream")
        }
        phase = .reading(shape, status: head.status)
    }

    func received(body piece: ByteBuffer) -> Bool {
        guard case .reading(let shape, _) = phase else { return true }
        switch shape {
        case .events: return received(events: piece)
        case .json, .refusal:
            let limit = shape == .json ? hop.answerLimit : Self.refusalLimit
            guard body.readableBytes + piece.readableBytes <= limit else {
                giveUp("the answer is longer than \(limit) bytes")
                return true
            }
            body.append(piece)
            return true
        }
    }

    func ended() {
        exchange = nil
        linger?.cancel()
        guard case .reading(let shape, let status) = phase else { return }
        switch shape {
        case .events: finish(.failed(Undelivered(.outcomeUnknown, "the machine's stream ended without an answer")), suspect: true)
        case .json: response(body.take())
        case .refusal: refused(DoorAnswer.refusal(status: status, body: body.take()))
        }
    }

    func failed(_ failure: ExchangeFailure) {
        exchange = nil
        linger?.cancel()
        switch (failure.kind, phase) {
        case (.notSent, .posting):
            record.loss = unreachable
            finish(.failed(Undelivered(.notDelivered, "the machine cannot be reached")))
        default:
            finish(.failed(Undelivered(.outcomeUnknown, "the connection to the machine was lost")), suspect: true)
        }
    }

    /// A door that was closed a moment ago refuses connections as one does that is gone.
    private var unreachable: DoorAnswer.Loss { door.isClosed(now: nil) ? .suspended : .unreachable }

    // MARK: Answers

    private func received(events piece: ByteBuffer) -> Bool {
        var demand = Demand.more
        events.feed(piece)
        do {
            while let event = try events.next() {
                guard case .reading = phase else { return true }
                if received(event: event.data) == .pause { demand = .pause }
            }
        } catch {
            giveUp("the machine's event stream cannot be read")
        }
        return demand == .more
    }

    private func received(event message: ByteBuffer) -> Demand {
        guard message.readableBytes > 0 else { return .more }
        guard let envelope = scan(message) else {
            giveUp("the machine's message cannot be read")
            return .more
        }
        switch envelope.kind {
        case .notification: return notify(message, envelope)
        case .response, .errorResponse:
            if let exchange { linger = hop.eventLoop.assumeIsolated().scheduleTask(in: Self.lingerTime) { exchange.cancel() } }
            finish(message, envelope)
            return .more
        case .request:
            // The dialect has no requests of a server.
            return .more
        }
    }

    private func notify(_ message: ByteBuffer, _ envelope: Envelope) -> Demand {
        guard envelope.method == "notifications/progress" else { return sink?.notification(message) ?? .more }
        // Only about this call, and under the caller's own token.
        guard let token = envelope.notificationProgressToken, let progressToken, message.text(token) == String(id) else { return .more }
        var restored = ByteBufferAllocator().buffer(capacity: message.readableBytes + progressToken.readableBytes)
        restored.writeImmutableBuffer(message.slice(JSONSpan(start: 0, end: token.start)))
        restored.writeImmutableBuffer(progressToken)
        restored.writeImmutableBuffer(message.slice(JSONSpan(start: token.end, end: message.readableBytes)))
        return sink?.notification(restored) ?? .more
    }

    private func response(_ message: ByteBuffer) {
        guard let envelope = scan(message) else { return giveUp("the machine's answer cannot be read") }
        finish(message, envelope)
    }

    private func finish(_ message: ByteBuffer, _ envelope: Envelope) {
        guard let outcome = DoorAnswer.outcome(message, envelope, id: id) else { return giveUp("the machine answered another request") }
        finish(outcome)
    }

    private func scan(_ message: ByteBuffer) -> Envelope? {
        try? EnvelopeScanner.scan(message.readableBytesSpan, limits: ScanLimits(maximumBytes: hop.answerLimit))
    }

    private func refused(_ refusal: DoorAnswer.Refusal) {
        switch refusal {
        case .credentialsNeeded: putCredentials()
        case .notDelivered(let reason, let loss):
            record.loss = loss
            finish(.failed(Undelivered(.notDelivered, reason)))
        case .error(let error): finish(.error(error))
        case .outcomeUnknown(let reason): finish(.failed(Undelivered(.outcomeUnknown, reason)))
        }
    }

    /// Nothing sensible can come any more, though the machine may have run the call.
    private func giveUp(_ reason: String) {
        let open = exchange
        finish(.failed(Undelivered(.outcomeUnknown, reason)))
        open?.cancel()
    }

    private func finish(_ outcome: consuming MCPOutcome, suspect: Bool = false) {
        guard let sink else { return }
        if suspect { record.loss = .unreachable }
        self.sink = nil
        door.underWay -= 1
        phase = .finished
        exchange = nil
        putting = nil
        sink.finish(outcome)
    }

    // MARK: Credentials

    private func putCredentials() {
        guard let credentials = record.credentials, puts < Self.maximumPuts else {
            return finish(.failed(Undelivered(.notDelivered, "the machine did not take the credentials")))
        }
        puts += 1
        phase = .putting
        do {
            let (head, body) = try door.put(credentials, principal: record.principal, session: session.id)
            let reply = DoorReply { [weak self] in self?.put($0) }
            putting = reply
            reply.start(hop.pool.request(to: door.endpoint, head: head, body: body, options: .init(method: "PUT"), handler: reply))
        } catch {
            hop.logger.error("cannot seal credentials", metadata: ["error": "\(error)"])
            finish(.failed(Undelivered(.notDelivered, "the credentials cannot be sealed")))
        }
    }

    private func put(_ result: Result<(status: Int, body: ByteBuffer), ExchangeFailure>) {
        guard case .putting = phase else { return }
        putting = nil
        switch result {
        case .success((status: 200, body: _)): start()
        case .success(let (status, body)):
            switch DoorAnswer.refusal(status: status, body: body) {
            case .notDelivered(let reason, let loss):
                record.loss = loss
                finish(.failed(Undelivered(.notDelivered, reason)))
            default: finish(.failed(Undelivered(.notDelivered, "the machine did not take the credentials")))
            }
        case .failure:
            // Whether the credentials arrived or not, the call did not.
            record.loss = unreachable
            finish(.failed(Undelivered(.notDelivered, "the machine cannot be reached")))
        }
    }
}
