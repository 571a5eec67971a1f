import MCP
import NIOCore
import Wire

/// The streams of the handshake revisions that no request opened: the session's own, and one that is taken up again.
extension RemoteServer {
    private static let maximumFailures = 10

    /// Opens the stream of what the server says by itself. Servers may refuse it.
    func openStream() {
        guard !isClosed, era == .legacy, stream == nil else { return }
        let post = RemotePost(
            method: "GET", message: { [weak self] in self?.received($1, from: $0) ?? .more },
            end: { [weak self] post, how in
                guard let self, stream === post else { return }
                stream = nil
                guard case .complete = how, post.isStream else {
                    if case .failed = how { reopen(after: 1_000) }
                    return
                }
                reopen(after: post.retryMilliseconds ?? 1_000)
            })
        stream = post
        post.started(request("GET", streamHeaders(after: nil), body: nil, handler: post))
    }

    private func reopen(after milliseconds: Int) {
        guard !isClosed, streamFailures < Self.maximumFailures else { return }
        streamFailures += 1
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        streamTimer = eventLoop.scheduleTask(in: .milliseconds(Int64(min(milliseconds, 60_000)))) { bound.value.openStream() }
    }

    /// Takes up a call's stream where it ended: a server may close it and tell the rest later.
    ///
    /// - Returns: Whether that can be tried.
    func resume(_ post: RemotePost, id: Int) -> Bool {
        guard !isClosed, era == .legacy, post.isStream, let eventID = post.lastEventID, post.method != "initialize" else { return false }
        let again = RemotePost(
            id: id, method: post.method, message: { [weak self] in self?.received($1, from: $0) ?? .more },
            end: { [weak self] in self?.ended($0, $1) })
        posts[id] = again
        let bound = NIOLoopBound((self, again), eventLoop: eventLoop)
        eventLoop.scheduleTask(in: .milliseconds(Int64(min(post.retryMilliseconds ?? 1_000, 60_000)))) {
            let (server, again) = bound.value
            guard server.posts[id] === again else { return }
            again.started(server.request("GET", server.streamHeaders(after: eventID), body: nil, handler: again))
        }
        return true
    }

    private func streamHeaders(after eventID: String?) -> [(String, String)] {
        [("accept", "text/event-stream")] + versionHeader + (sessionID.map { [("mcp-session-id", $0)] } ?? [])
            + (eventID.map { [("last-event-id", $0)] } ?? [])
    }
}
