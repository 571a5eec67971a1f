import JSONText
public import NIOCore

extension Back {
    /// One line of the child's output, with or without its newline.
    public mutating func received(line: ByteBuffer) -> [BackAction] {
        let message = line.trimmed()
        guard message.readableBytes > 0 else { return [] }
        do {
            let envelope = try EnvelopeScanner.scan(message.readableBytesSpan, limits: limits)
            switch envelope.kind {
            case .response, .errorResponse: return answer(envelope, message)
            case .request: return request(envelope, message)
            case .notification: return notification(envelope, message)
            }
        } catch {
            // Revision 2025-03-26 alone has arrays of messages.
            if error.reason == .batch, version == ProtocolVersion.batching, let messages = Batch.messages(message) {
                return messages.flatMap { received(line: $0) }
            }
            return unreadable(message, error)
        }
    }

    /// How many bytes of a message that is too long are kept, so that its id can be read.
    public static let oversizedPrefix = 1024

    /// A line longer than the framer accepts: its first `oversizedPrefix` bytes. The call it answers fails, if they tell which.
    public mutating func receivedOversized(prefix: ByteBuffer) -> [BackAction] {
        let prefix = prefix.trimmed()
        do {
            _ = try EnvelopeScanner.scan(prefix.readableBytesSpan, limits: limits)
            return unreadable(prefix, ScanError(.tooLarge, at: prefix.readableBytes))
        } catch {
            return unreadable(prefix, ScanError(.tooLarge, at: error.offset, id: error.id, hasMethod: error.hasMethod))
        }
    }

    /// What a child wrote last without ending its line: a message, or what is left of one over which it died. Whose answer that was to
    /// be is then told of the death, and not of its half.
    public mutating func received(unended line: ByteBuffer) -> [BackAction] {
        if (try? EnvelopeScanner.scan(line.trimmed().readableBytesSpan, limits: limits)) != nil { return received(line: line) }
        counters.noise += 1
        return [.noise(line, isStray: false)]
    }

    /// A text that is no message. When it is recognisably an answer, its caller is told instead of waiting for ever; when it is
    /// recognisably a request, the child is.
    private mutating func unreadable(_ message: ByteBuffer, _ error: ScanError) -> [BackAction] {
        counters.noise += 1
        let noise: [BackAction] = [.noise(message, isStray: false)]
        if error.hasMethod, let id = error.id, !error.isMalformed || error.reason == .tooLarge || error.reason == .tooDeep {
            let told = error.reason == .invalidParams ? MCPError(error) : .invalidRequest(error.reason.rawValue)
            return noise + refused(message.copy(id), told)
        }
        guard !error.hasMethod, let span = error.id, let id = message.integer(span), let entry = correlator.close(id: id) else { return noise }
        let bound = error.reason == .tooLarge ? "; a message has at most \(limits.maximumBytes) bytes" : ""
        let why = MCPError.internalError("the server's answer is not acceptable: \(error.reason.rawValue)\(bound)")
        return noise + ended(entry, id, .error(why))
    }

    // MARK: Answers

    private mutating func answer(_ envelope: Envelope, _ message: ByteBuffer) -> [BackAction] {
        guard let span = envelope.id, let id = message.integer(span) else {
            return unasked(message)
        }
        switch phase {
        case .probing(id):
            return probed(envelope, message)
        case .initializing(id, _, _, let late):
            return initialized(envelope, message, late: late)
        case .initializing(let own, .some(id), let probed, nil):
            // Too late to change our mind, but worth remembering: if `initialize` is refused the server is a modern one.
            if let result = envelope.result, let identity = ServerIdentity(discoverResult: result, in: message) {
                phase = .initializing(id: own, probe: id, probed: probed, late: identity)
            }
            return []
        default:
            break
        }
        guard let entry = correlator.close(id: id) else {
            guard correlator.hasGiven(id) else { return unasked(message) }
            counters.lateAnswers += 1
            return []
        }
        return ended(entry, id, outcome(envelope, message, entry))
    }

    /// The child's call is over: its caller hears, or whoever comes back for it.
    private mutating func ended(_ entry: Correlator.Entry, _ id: Int, _ outcome: MCPOutcome) -> [BackAction] {
        if let call = entry.call { return [.finish(call, outcome)] + settledByEnd() }
        suspensions.settle(id, outcome)
        return settledByEnd()
    }

    private mutating func unasked(_ message: ByteBuffer) -> [BackAction] {
        counters.unknownAnswers += 1
        return [.noise(message, isStray: true)]
    }

    private func outcome(_ envelope: Envelope, _ message: ByteBuffer, _ entry: Correlator.Entry) -> MCPOutcome {
        if let result = envelope.result {
            guard message.readableBytesSpan.byte(result) == UInt8(ascii: "{") else {
                return .error(.internalError("the server's result is not an object"))
            }
            let text = message.slice(result)
            if PendingCall.isForged(in: text) { return .error(.internalError("the server's result has \(PendingCall.mark), which is not its own")) }
            return .result(entry.requestID.map { Subscription.retagged(result: text, id: $0) } ?? text)
        }
        guard let span = envelope.error else { return .error(.internalError("the server's answer is empty")) }
        let error = MCPError(object: span, in: message)
        if case .legacy(let back) = phase { return .error(back.translated(error, for: entry)) }
        return .error(error)
    }

    /// The answer to `server/discover`. Only a modern server knows the method and means it; whatever else comes says legacy.
    private mutating func probed(_ envelope: Envelope, _ message: ByteBuffer) -> [BackAction] {
        if let result = envelope.result, let identity = ServerIdentity(discoverResult: result, in: message) {
            return ready(identity, .modern)
        }
        let error = envelope.error.map { MCPError(object: $0, in: message) }
        if error.map(Self.isModern) ?? false { return ready(.unknown, .modern) }
        if choice == .modern { return error.map(Self.mayBeModern) ?? false ? ready(.unknown, .modern) : fail(Self.notModern(error)) }
        if let whyNotLegacy { return fail(whyNotLegacy) }
        return [.disarmTimer(.probe)] + initialize(probe: nil, probed: true)
    }

    /// An admin's word stands against a server that lacks the method or fails at it, and not against one that wants a handshake first.
    private static func mayBeModern(_ error: MCPError) -> Bool {
        [MCPError.Code.methodNotFound, MCPError.Code.internalError].contains(error.code)
    }

    private static func notModern(_ error: MCPError?) -> String {
        let answer = error.map { "\($0.code) \($0.message.cut(to: 2_000))" } ?? "what is no answer to it"
        return "the server does not speak \(ProtocolVersion.modern): it answered server/discover with \(answer)"
    }

    /// Codes that only a modern server uses; one that lists its versions must list ours.
    private static func isModern(_ error: MCPError) -> Bool {
        switch error.code {
        case MCPError.Code.headerMismatch, MCPError.Code.missingClientCapability:
            return true
        case MCPError.Code.unsupportedProtocolVersion:
            guard let data = error.data, let value = try? JSONValue(parsing: data.readableBytesSpan),
                let supported = value["supported"]?.arrayValue
            else { return true }
            return supported.contains(.string(ProtocolVersion.modern))
        default:
            return false
        }
    }

    private mutating func initialized(_ envelope: Envelope, _ message: ByteBuffer, late: ServerIdentity?) -> [BackAction] {
        let refusal: String
        if let result = envelope.result {
            if let (identity, version) = ServerIdentity.initialized(result, in: message) {
                guard !ProtocolVersion.legacy.contains(version) else {
                    self.version = version
                    return [.write(JSONRPC.notification("notifications/initialized").asLine())] + ready(identity, .legacy)
                }
                refusal = "the server chose the unknown protocol version \(version.cut(to: 32))"
            } else {
                refusal = "the server's answer to initialize could not be read"
            }
        } else {
            if let late { return ready(late, .modern) }
            refusal = envelope.error.map { Self.refusal(MCPError(object: $0, in: message)) } ?? "the server refused initialize: no reason given"
        }
        // With the handshake first, a server that cannot be spoken to in it may yet answer a probe.
        guard isHandshakeFirst, choice == .auto else { return fail(refusal) }
        self.refusal = refusal
        return probe()
    }

    /// A bridge's codes, and our own, say that nobody has refused anything.
    private static func refusal(_ error: MCPError) -> String {
        let isUndelivered = [MCPError.Code.notDelivered, MCPError.Code.outcomeUnknown].contains(error.code)
        return (isUndelivered ? "" : "the server refused initialize: \(error.code) ") + error.message.cut(to: 2_000)
    }

    // MARK: What the child says by itself

    /// A child may ping, and ask what its client declared.
    private mutating func request(_ envelope: Envelope, _ message: ByteBuffer) -> [BackAction] {
        let id = envelope.id.map(message.slice)
        if envelope.method == "ping" {
            return [.write(JSONRPC.response(id: id, result: ByteBuffer(string: "{}")).asLine())]
        }
        // No server asks that of its client: it is what we have said.
        switch (envelope.method, phase) {
        case ("initialize", .initializing), ("server/discover", .probing):
            return fail("the server sends back what it is sent: it is no MCP server")
        default: break
        }
        return asked(envelope, message)
    }

    private mutating func notification(_ envelope: Envelope, _ message: ByteBuffer) -> [BackAction] {
        switch envelope.method {
        case "notifications/progress":
            guard let span = envelope.notificationProgressToken, let id = message.integer(span), let entry = correlator[id],
                let token = entry.progressToken, let call = entry.call
            else { break }
            var splice = Splice()
            splice.replace(span, with: token)
            return [.notify(call, message.applying(splice))]
        case "notifications/message":
            guard let entry = correlator.hearer(isOneClient: canAsk, isPerRequest: era == .modern), let wanted = entry.logSeverity,
                let call = entry.call
            else { return said(envelope, message) }
            guard envelope.level.flatMap(LogLevel.severity) ?? wanted >= wanted else { break }
            return [.notify(call, message)]
        case "notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed",
            "notifications/resources/updated":
            return changed(envelope, message)
        case "notifications/subscriptions/acknowledged":
            return subscribed(envelope, message)
        case URLElicitation.complete:
            if let actions = completed(message) { return actions }
        case "notifications/cancelled":
            guard let id = envelope.requestID.map({ message.copy($0) }) else { return [] }
            return withdrew(id) ?? settled(suspensions.withdraw(id))
        default:
            return said(envelope, message)
        }
        counters.droppedNotifications += 1
        return []
    }
}

extension String {
    /// A server's words, with an ellipsis where they were cut: a secret that is cut there is found by it (`SecretMask`).
    fileprivate func cut(to length: Int) -> String { count > length ? prefix(length) + "…" : self }
}

extension ByteBuffer {
    /// Without a byte order mark at the front and white space at either end.
    fileprivate func trimmed() -> ByteBuffer {
        var line = self
        if line.readableBytes >= 3, line.getBytes(at: line.readerIndex, length: 3) == [0xEF, 0xBB, 0xBF] { line.moveReaderIndex(forwardBy: 3) }
        let isSpace: (UInt8?) -> Bool = { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
        while line.readableBytes > 0, isSpace(line.getInteger(at: line.readerIndex)) { line.moveReaderIndex(forwardBy: 1) }
        while line.readableBytes > 0, isSpace(line.getInteger(at: line.writerIndex - 1)) { line.moveWriterIndex(to: line.writerIndex - 1) }
        return line
    }
}
