import NIOCore

/// One call of a client under way: the service's sink on one side, the HTTP exchange on the other.
///
/// Answers as JSON unless a notification came first; then the exchange is a stream and the answer its last event.
final class FrontCall: MCPSink {
    /// What may be buffered for a client that does not read.
    private static let pausedMessages = 256
    private static let pausedBytes = 1 << 20

    let number: Int
    let era: Era
    let session: String?
    let key: RequestKey?
    let startedAt: NIODeadline
    let front: MCPFront
    let request: MCPRequest
    let context: CallContext
    /// `nil` once the client is gone or answered.
    private(set) var exchange: (any FrontExchange)?
    let streams: Bool
    private let primes: Bool
    private let serverInfo: () -> ByteBuffer?
    /// `nil` while the client is asked.
    private(set) var call: (any MCPCall)?
    /// The last questions to the client.
    var round: InputRound?
    var rounds = 0
    /// The call on whose stream the client is asked, where nobody reads this one's.
    var asksThrough: Int?
    /// Whether its server still waits for the answers.
    var watch: RoundWatch?
    private var isStreaming = false
    private(set) var isFinished = false
    private(set) var isCancelled = false
    private var isPaused = false
    private var sentWhilePaused = (messages: 0, bytes: 0)
    private(set) var dropped = 0
    /// When the client went away in the middle of a stream that it can resume.
    private(set) var leftAt: NIODeadline?

    /// - Parameters:
    ///   - front: holds the call until it has ended.
    ///   - streams: false inside a batch, whose answer cannot be a stream.
    ///   - primes: a stream begins with an event that only says where to resume.
    ///   - serverInfo: the identity that modern results name.
    init(
        number: Int, era: Era, request: MCPRequest, context: CallContext, session: String?, key: RequestKey?, exchange: any FrontExchange,
        streams: Bool, primes: Bool, front: MCPFront, serverInfo: @escaping () -> ByteBuffer?
    ) {
        self.number = number
        self.era = era
        self.request = request
        self.context = context
        self.session = session
        self.key = key
        self.exchange = exchange
        self.streams = streams
        self.primes = primes
        isResumable = era == .legacy && session != nil && streams && exchange.isResumable
        self.front = front
        self.serverInfo = serverInfo
        startedAt = front.service.eventLoop.now
        observe(exchange)
    }

    private func observe(_ exchange: any FrontExchange) {
        exchange.onClientGone = { [weak self] in self?.clientGone() }
        exchange.onResume = { [weak self] in self?.resumed() }
    }

    /// Hands the request of one round to the service.
    func run(_ request: MCPRequest) {
        let round = rounds
        let call = front.service.call(request, in: context, sink: self)
        // The service may be done already, with the whole call or with this round.
        guard !isFinished, rounds == round else { return }
        self.call = call
        if isCancelled { call.cancel() }
    }

    // MARK: From the service

    func notification(_ message: ByteBuffer) -> Demand {
        guard streams, !isFinished, !isCancelled else { return .more }
        if era == .modern, URLElicitation.isCompletion(message) { return .more }
        guard exchange != nil else {
            if awaitsReturn { _ = send(message) }
            return .more
        }
        openStream()
        if isPaused {
            sentWhilePaused.messages += 1
            sentWhilePaused.bytes += message.readableBytes
            if sentWhilePaused.messages > Self.pausedMessages || sentWhilePaused.bytes > Self.pausedBytes {
                dropped += 1
                return .pause
            }
        }
        if send(message) == .pause { isPaused = true }
        // The write itself may have found the client gone; nobody would say when to go on.
        if self.exchange == nil { isPaused = false }
        return isPaused ? .pause : .more
    }

    func finish(_ outcome: consuming MCPOutcome) {
        guard !isFinished else { return }
        call = nil
        // Walked once, however long it is.
        var found: ResultDialect.Found?
        if era == .legacy || mayAsk, case .result(let result) = outcome {
            found = ResultDialect.Found(result)
            if mayAsk, found?.resultType == InputRequired.resultType, let required = InputRequired(result: result) {
                guard let instead = ask(required) else { return }
                outcome = instead
                if case .result(let result) = outcome { found = ResultDialect.Found(result) }
            }
        }
        isFinished = true
        deliver(outcome, found)
        exchange = nil
        if let session, isResumable, isStreaming { front.streamEnded(number, session: session) }
        front.ended(self)
    }

    // MARK: The stream

    /// The client can ask for the rest of a stream that broke off.
    private let isResumable: Bool

    /// The client is away, and has what it needs to come back.
    var awaitsReturn: Bool { leftAt != nil }

    /// Sends one message on the stream, or keeps it for a client that comes back.
    func send(_ message: ByteBuffer) -> Demand {
        var event: String?
        if let session, isResumable { event = front.remember(message, stream: number, session: session) }
        return exchange?.event(message, id: event) ?? .more
    }

    /// The client came back for the rest of the stream, on another connection.
    func attach(_ exchange: any FrontExchange) {
        let old = self.exchange
        self.exchange = exchange
        leftAt = nil
        observe(exchange)
        old?.onClientGone = nil
        old?.closeStream()
        if isPaused { resumed() }
    }

    /// Whether it is for us to see to a server's questions. A modern client is asked by the result itself, but in some requests only.
    private var mayAsk: Bool { era == .legacy || !(InputRequired.methods.contains(request.method) || request.method.hasPrefix("tasks/")) }

    // MARK: From the client

    /// `notifications/cancelled`, a deleted session, or a closed modern stream.
    func cancel(sessionIsOver: Bool = false) {
        guard !isFinished, !isCancelled else { return }
        isCancelled = true
        call?.cancel()
        if sessionIsOver { forgetRound() } else { abandonRound() }
    }

    private func clientGone() {
        exchange = nil
        // A legacy client that hangs up has not cancelled; it may do so on another connection.
        if era == .modern { cancel() }
        if isStreaming, isResumable { leftAt = front.service.eventLoop.now } else { abandonRound() }
        if isPaused { resumed() }
    }

    private func resumed() {
        isPaused = false
        sentWhilePaused = (0, 0)
        call?.resume()
    }

    /// Turns to a stream, so that keep-alive comments flow while the service is silent.
    func openStream() {
        guard !isStreaming, streams, !isFinished, let exchange else { return }
        isStreaming = true
        exchange.openStream()
        if primes, let session, isResumable { exchange.prime(id: front.prime(stream: number, session: session)) }
    }

    // MARK: The answer

    private func deliver(_ outcome: consuming MCPOutcome, _ found: ResultDialect.Found?) {
        guard exchange != nil || awaitsReturn else { return }
        if isCancelled, era == .legacy {
            // A cancelled request gets no response; the exchange must end all the same.
            if let exchange { openEmpty(exchange) }
            exchange?.closeStream()
            return
        }
        var message: ByteBuffer
        var status = 200
        var headers = MCPFront.jsonHeaders
        switch answer(outcome, found) {
        case .success(let result): message = JSONRPC.response(id: request.id, result: result)
        case .failure(let error):
            message = JSONRPC.error(id: request.id, error)
            if era == .modern { status = ModernLadder.status(error) }
            if let seconds = error.retryAfter { headers.append(("Retry-After", "\(seconds)")) }
        }
        if isStreaming {
            if exchange == nil, message.readableBytes > EventHistory.maximumBytes {
                message = JSONRPC.error(id: request.id, .internalError("the answer is too long to be kept for a client that was away"))
            }
            _ = send(message)
            exchange?.closeStream()
        } else {
            exchange?.reply(status: status, headers: headers, body: message)
        }
    }

    private func openEmpty(_ exchange: any FrontExchange) {
        guard !isStreaming else { return }
        isStreaming = true
        exchange.openStream()
    }

    private func answer(_ outcome: consuming MCPOutcome, _ found: ResultDialect.Found?) -> Result<ByteBuffer, MCPError> {
        switch outcome {
        case .result(let result):
            do throws(MCPError) {
                guard era == .modern else { return .success(try ResultDialect.legacy(result, found, method: request.method)) }
                return .success(
                    try ResultDialect.modern(
                        result, method: request.method, declared: context.clientCapabilities, serverInfo: serverInfo))
            } catch {
                return .failure(error)
            }
        case .error(let error):
            if era == .legacy { return .failure(LegacyFront.translated(error, method: request.method)) }
            switch URLElicitation.modern(error, method: request.method, able: ClientCapabilities(context.clientCapabilities)) {
            case .success(let asking): return answer(.result(asking), nil)
            case .failure(let instead): return .failure(instead)
            case nil: return .failure(error)
            }
        case .failed(let undelivered):
            return .failure(MCPError(undelivered))
        }
    }
}
