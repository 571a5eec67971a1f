import JSONText
import MCP
import NIOCore

/// What comes to a request: messages, and how it ends.
extension RemoteServer {
    func received(_ message: ByteBuffer, from post: RemotePost) -> Demand {
        guard message.readableBytes <= Self.messageLimit else {
            return perform(back.receivedOversized(prefix: ByteBuffer(message.readableBytesView.prefix(Back.oversizedPrefix))))
        }
        if let envelope = try? EnvelopeScanner.scan(message.readableBytesSpan), envelope.kind == .response || envelope.kind == .errorResponse {
            let own = post.id.map(String.init)
            if envelope.kind == .errorResponse, envelope.id == nil, let id = post.id, !post.isAnswered {
                // It could not tell whose the request was; whose answer this is says the post.
                answered(post)
                let why = Self.error(in: message) ?? .internalError("the server answered without an id")
                return perform(back.received(line: JSONRPC.error(id: ByteBuffer(string: String(id)), why)))
            }
            let id = envelope.id.flatMap { message.getString(at: message.readerIndex + $0.start, length: $0.count) }
            // The session's own stream, and the one of 2024-11-05, have the answers of others, and go on.
            if let own, own == id { answered(post) }
            if post.method == "initialize", envelope.kind == .response { sessionID = post.sessionID }
        }
        return perform(back.received(line: message))
    }

    /// Nothing more comes to it: a server that does not end its stream does not hold a connection for each of its answers.
    private func answered(_ post: RemotePost) {
        guard post.id != nil, !post.isAnswered else { return }
        post.isAnswered = true
        guard post.isStream else { return }
        let bound = NIOLoopBound((self, post), eventLoop: eventLoop)
        post.lastWait = eventLoop.scheduleTask(in: limits.trailing) {
            let (server, post) = bound.value
            post.cancel()
            server.ended(post, .complete)
        }
    }

    func ended(_ post: RemotePost, _ how: RemotePost.End) {
        if let id = post.id { posts[id] = nil } else { others[ObjectIdentifier(post)] = nil }
        if post.method == "notifications/initialized" {
            heldTimer?.cancel()
            heldTimer = nil
            let lines = held ?? []
            held = nil
            for line in lines { write(line) }
            openStream()
        }
        switch how {
        case .complete:
            // With the transport of 2024-11-05 the answer comes elsewhere.
            guard let id = post.id, !post.isAnswered, !eventStream.isUsed, !resume(post, id: id) else { return }
            let what = post.isStream ? "the server's stream ended without an answer" : "the server answered \(post.answerKind), and no MCP"
            fail(id, Undelivered(.outcomeUnknown, what))
        case .failed where post.isAnswered: return
        case .failed(let why):
            if !back.isReady { return giveUp(Undelivered(.notDelivered, why.reason)) }
            guard let id = post.id, !resume(post, id: id) else { return }
            fail(id, post.isResumption ? Undelivered(.outcomeUnknown, why.reason) : why)
        case .refused(let status, let body):
            refused(post, status, body)
        }
    }

    private func refused(_ post: RemotePost, _ status: Int, _ body: ByteBuffer) {
        if status == 404, sessionID != nil, post.method != "initialize", era == .legacy, !post.isResumption {
            return sessionLost(by: post)
        }
        guard let id = post.id else { return }
        let error = Self.error(in: body)
        if fallsBack(post, status, error, said: Self.said(in: body)) { return }
        if error == nil || status == 401 || status == 403 {
            lastStatus = status
            if !back.isReady, [401, 403, 407].contains(status) || (300..<400).contains(status) {
                return giveUp(Undelivered(.notDelivered, Self.text(status, error, said: Self.said(in: body))))
            }
        }
        if post.isResumption { return fail(id, Undelivered(.outcomeUnknown, "the server's stream ended, and cannot be taken up: HTTP \(status)")) }
        if let error {
            perform(back.received(line: JSONRPC.error(id: ByteBuffer(string: String(id)), error)))
        } else {
            // 302 and 303 say of a POST that it was taken, and that its answer is elsewhere.
            let mayHaveRun = status >= 500 || [302, 303].contains(status)
            fail(id, Undelivered(mayHaveRun ? .outcomeUnknown : .notDelivered, Self.text(status, nil, said: Self.said(in: body))))
        }
    }

    func fail(_ id: Int, _ why: Undelivered) {
        perform(back.received(line: JSONRPC.error(id: ByteBuffer(string: String(id)), MCPError(why))))
    }

    static func text(_ status: Int, _ error: MCPError?, said: String? = nil) -> String {
        "the server answered HTTP \(status)" + ((error?.message ?? said).map { ": \($0)" } ?? "")
    }

    /// What a refusal says that is no MCP error, in one line.
    private static func said(in body: ByteBuffer) -> String? {
        // As servers and proxies tell who speaks plainly to their TLS.
        let beginning = String(decoding: body.readableBytesView.prefix(1_024), as: UTF8.self).lowercased()
        if beginning.contains("https port") || beginning.contains("https server") { return "that port speaks HTTPS" }
        guard let value = try? JSONValue(parsing: body.readableBytesSpan),
            let text = value["message"]?.stringValue ?? value["error_description"]?.stringValue
        else { return nil }
        return String(text.split(whereSeparator: \.isNewline).joined(separator: " ").prefix(200))
    }

    private static func error(in body: ByteBuffer) -> MCPError? {
        guard let value = try? JSONValue(parsing: body.readableBytesSpan), let error = value["error"], let code = error["code"]?.intValue
        else { return nil }
        let data = error["data"].map { ByteBuffer(bytes: $0.serialized()) }
        return MCPError(code: code, message: error["message"]?.stringValue ?? "no reason given", data: data)
    }
}
