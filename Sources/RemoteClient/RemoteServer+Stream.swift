import MCP
import NIOCore

/// The streams of the handshake revisions that no request opened: the session's own, and one that is taken up again.
extension RemoteServer {
    private static let maximumFailures = 10
    /// A stream that was open for so long has not failed: servers and proxies end idle ones.
    private static let steady = TimeAmount.seconds(10)
    private static let shortestWait = 100
    private static let longestWait = 60_000

    /// Opens the stream of what the server says by itself. Servers may refuse it.
    ///
    /// - Parameter last: the stream that it takes up.
    func openStream(after last: RemotePost? = nil) {
        guard !isClosed, era == .legacy, stream == nil else { return }
        let post = RemotePost(
            "GET", headers: streamHeaders(after: last?.lastEventID), message: { [weak self] in self?.received($1, from: $0) ?? .more },
            end: { [weak self] in self?.streamEnded($0, $1) })
        post.lastEventID = last?.lastEventID
        post.retryMilliseconds = last?.retryMilliseconds
        stream = post
        streamSince = .now()
        sender.send(post)
    }

    private func streamEnded(_ post: RemotePost, _ how: RemotePost.End) {
        guard stream === post else { return }
        stream = nil
        if post.hasEvents || NIODeadline.now() - streamSince >= Self.steady { streamFailures = 0 }
        switch how {
        case .complete where post.isStream, .failed: break
        case .complete, .refused: return
        }
        guard !isClosed else { return }
        streamFailures += 1
        let bound = NIOLoopBound((self, post), eventLoop: eventLoop)
        streamTimer = eventLoop.scheduleTask(in: Self.wait(after: post, failures: streamFailures)) { bound.value.0.openStream(after: bound.value.1) }
    }

    /// Takes up a call's stream where it ended: a server may close it and tell the rest later.
    ///
    /// - Returns: Whether that can be tried.
    func resume(_ post: RemotePost, id: Int) -> Bool {
        let empty = post.hasEvents ? 0 : post.emptyStreams + 1
        guard !isClosed, era == .legacy, post.isStream || post.isResumption, post.method != "initialize", empty <= Self.maximumFailures,
            let eventID = post.lastEventID
        else { return false }
        let again = RemotePost(
            "GET", method: post.method, id: id, headers: streamHeaders(after: eventID),
            message: { [weak self] in self?.received($1, from: $0) ?? .more }, end: { [weak self] in self?.ended($0, $1) })
        again.lastEventID = eventID
        again.retryMilliseconds = post.retryMilliseconds
        again.isResumption = true
        again.emptyStreams = empty
        posts[id] = again
        let bound = NIOLoopBound((self, again), eventLoop: eventLoop)
        eventLoop.scheduleTask(in: Self.wait(after: post)) {
            let (server, again) = bound.value
            if server.posts[id] === again { server.sender.send(again) }
        }
        return true
    }

    /// What the server asked for; longer after several failures in a row.
    private static func wait(after post: RemotePost, failures: Int = 1) -> TimeAmount {
        let asked = min(max(post.retryMilliseconds ?? 1_000, shortestWait), longestWait)
        return .milliseconds(Int64(min(asked << min(max(failures - 1, 0), 10), longestWait)))
    }

    private func streamHeaders(after eventID: String?) -> [(String, String)] {
        [("accept", "text/event-stream")] + versionHeader + (sessionID.map { [("mcp-session-id", $0)] } ?? [])
            + (eventID.map { [("last-event-id", $0)] } ?? [])
    }
}
