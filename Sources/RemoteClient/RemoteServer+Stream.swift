import MCP
import NIOCore

/// The streams that no line opened: the session's own, the one of 2024-11-05, and one that is taken up again.
extension RemoteServer {
    /// What the server says by itself, from where an earlier stream of it ended.
    func openStream(from place: StreamPlace) {
        guard stream == nil else { return }
        var request = RemoteRequest("GET")
        request.place = place
        let since = NIODeadline.now()
        open(request, headers: streamHeaders(place)) { $0.session.streamEnded($1.request, $2, lasted: .now() - since) }
    }

    func openEventStream() {
        let post = open(RemoteRequest("GET"), headers: [("accept", "text/event-stream")]) { $0.session.eventStreamEnded($1.request, $2) }
        post.onEndpoint = { [weak self] reference in
            if let self, let address = stream?.target { run(session.endpointNamed(reference, at: address)) }
        }
    }

    @discardableResult
    private func open(
        _ request: RemoteRequest, headers: [(String, String)],
        ended: @escaping (RemoteServer, RemotePost, RemotePost.End) -> [RemoteSession.Action]
    ) -> RemotePost {
        let post = RemotePost(
            request, headers: headers, message: { [weak self] in self?.received($1, from: $0) ?? .more },
            end: { [weak self] post, how in
                guard let self, stream === post else { return }
                stream = nil
                run(ended(self, post, how))
            })
        stream = post
        sender.send(post)
        return post
    }

    /// A call's stream, once the server is to be asked for more of it.
    func takeUp(_ request: RemoteRequest, after delay: TimeAmount) {
        guard let id = request.id else { return }
        let post = answered(request, headers: streamHeaders(request.place))
        posts[id] = post
        let bound = NIOLoopBound((self, post), eventLoop: eventLoop)
        eventLoop.scheduleTask(in: delay) {
            let (server, post) = bound.value
            if server.posts[id] === post { server.sender.send(post) }
        }
    }

    private func streamHeaders(_ place: StreamPlace) -> [(String, String)] {
        [("accept", "text/event-stream")] + session.headers + (place.lastEventID.map { [("last-event-id", $0)] } ?? [])
    }
}
