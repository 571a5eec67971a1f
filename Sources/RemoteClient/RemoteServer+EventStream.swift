import MCP
import NIOCore

/// What a conversation over the transport of 2024-11-05 (HTTP+SSE) knows: one stream has all answers, and says where to post.
struct EventStreamState {
    /// The server has no other transport; found out once for the connection.
    var isUsed = false
    /// Where to post; nil until the stream says it.
    var endpoint: RemoteAddress?
    /// Lines that wait for it.
    var lines: [ByteBuffer] = []
    var timer: Scheduled<Void>?
    /// What the POST was answered with, as long as no stream has proven that there is one.
    var refusal: Undelivered?

    mutating func forget() {
        timer?.cancel()
        timer = nil
        endpoint = nil
        lines = []
    }
}

extension RemoteServer {
    /// Whether a refused `initialize` is tried as 2024-11-05 has it.
    ///
    /// - Parameter said: what the refusal says, where it is no MCP error.
    func fallsBack(_ post: RemotePost, _ status: Int, _ error: MCPError?, said: String?) -> Bool {
        guard post.method == "initialize", [400, 404, 405].contains(status), !eventStream.isUsed, let line = post.body else { return false }
        switch error?.code {
        case MCPError.Code.headerMismatch, MCPError.Code.missingClientCapability, MCPError.Code.unsupportedProtocolVersion: return false
        default: break
        }
        lastStatus = status
        eventStream.isUsed = true
        eventStream.refusal = Undelivered(.notDelivered, Self.text(status, error, said: said))
        write(line)
        return true
    }

    func writeOnceOpen(_ line: ByteBuffer) {
        eventStream.lines.append(line)
        guard stream == nil else { return }
        let post = RemotePost(
            "GET", headers: [("accept", "text/event-stream")], message: { [weak self] in self?.received($1, from: $0) ?? .more },
            end: { [weak self] post, how in if let self, stream === post { eventStreamEnded(how, isStream: post.isStream) } })
        post.onEndpoint = { [weak self] in self?.posts(to: $0) }
        stream = post
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventStream.timer = eventLoop.scheduleTask(in: limits.endpoint) {
            bound.value.failToOpen("the server's event stream did not say in time where to post")
        }
        sender.send(post)
    }

    private func posts(to reference: String) {
        guard eventStream.endpoint == nil, let address = stream?.target else { return }
        guard reference.utf8.count <= 8_192, let target = address.resolving(reference), target.isSameOrigin(as: address) else {
            return failToOpen("the server's event stream names a place at another origin to post to")
        }
        let lines = eventStream.lines
        eventStream.forget()
        eventStream.endpoint = target
        eventStream.refusal = nil
        for line in lines { write(line) }
    }

    private func eventStreamEnded(_ how: RemotePost.End, isStream: Bool) {
        stream = nil
        guard eventStream.endpoint == nil else { return connectionLost("the server's event stream ended") }
        switch how {
        case .complete where isStream: failToOpen("the server's event stream ended before it said where to post")
        case .complete: failToOpen(eventStream.refusal?.reason ?? "the server has no event stream any more")
        case .failed(let why): failToOpen(why.reason)
        case .refused(let status, _):
            // That there is no stream either says less than what the POST was answered with.
            guard let refusal = eventStream.refusal, ![401, 403].contains(status) else {
                lastStatus = status
                return failToOpen(Self.text(status, nil))
            }
            failToOpen(refusal.reason)
        }
    }

    /// The next call finds out anew what the server speaks.
    private func failToOpen(_ reason: String) {
        eventStream.isUsed = false
        eventStream.refusal = nil
        giveUp(Undelivered(.notDelivered, reason))
    }
}
