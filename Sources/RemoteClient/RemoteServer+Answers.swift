import JSONText
import MCP
import NIOCore

/// What comes to a request: messages, and how it ends.
extension RemoteServer {
    func received(_ message: ByteBuffer, from post: RemotePost) -> Demand {
        guard message.readableBytes <= Self.messageLimit else {
            return perform(session.back.receivedOversized(prefix: ByteBuffer(message.readableBytesView.prefix(Back.oversizedPrefix))))
        }
        if let envelope = try? EnvelopeScanner.scan(message.readableBytesSpan), envelope.kind == .response || envelope.kind == .errorResponse {
            let own = post.request.id.map(String.init)
            if let own, envelope.kind == .errorResponse, envelope.id == nil, !post.request.isAnswered {
                // It could not tell whose the request was; whose answer this is says the post.
                answered(post)
                let error = (try? JSONValue(parsing: message.readableBytesSpan)).flatMap(RemoteRefusal.error)
                let why = error ?? .internalError("the server answered without an id")
                return perform(session.back.received(line: JSONRPC.error(id: ByteBuffer(string: own), why)))
            }
            let id = envelope.id.flatMap { message.getString(at: message.readerIndex + $0.start, length: $0.count) }
            // The session's own stream, and the one of 2024-11-05, have the answers of others, and go on.
            if let own, own == id { answered(post) }
            if post.request.method == "initialize", envelope.kind == .response { session.id = post.sessionID }
        }
        return perform(session.back.received(line: message))
    }

    /// Nothing more comes to it: a server that does not end its stream does not hold a connection for each of its answers.
    private func answered(_ post: RemotePost) {
        guard post.request.id != nil, !post.request.isAnswered else { return }
        post.request.isAnswered = true
        guard post.request.isStream else { return }
        let bound = NIOLoopBound((self, post), eventLoop: eventLoop)
        post.lastWait = eventLoop.scheduleTask(in: limits.trailing) {
            let (server, post) = bound.value
            post.cancel()
            server.ended(post, .complete)
        }
    }

    func ended(_ post: RemotePost, _ how: RemotePost.End) {
        guard let explain, let id = post.request.id, let kind = session.isUnanswered(post.request, how) else { return settle(post, how) }
        explain { [weak self] reason in
            // Meanwhile its call may have been cancelled, or lost with the session.
            guard let self, posts[id] === post else { return }
            settle(post, reason.map { .failed(Undelivered(kind, $0)) } ?? how)
        }
    }

    private func settle(_ post: RemotePost, _ how: RemotePost.End) {
        if let id = post.request.id { posts[id] = nil } else { others[ObjectIdentifier(post)] = nil }
        if post.request.method == "notifications/initialized" { run(session.initialized()) }
        run(session.ended(post.request, how))
    }
}
