import MCP
import NIOCore

/// How a conversation's lines travel, and what waits for what.
extension RemoteSession {
    enum Transport: Equatable {
        case streamable
        /// The server has nothing but 2024-11-05 (HTTP+SSE), found out once for all conversations: one stream has all answers, and has yet to
        /// say where to post.
        case awaitingEndpoint
        case eventStream(endpoint: RemoteAddress)
    }

    var endpoint: RemoteAddress? { if case .eventStream(let endpoint) = transport { endpoint } else { nil } }

    /// A line for the server.
    mutating func write(_ line: ByteBuffer) -> [Action] {
        guard held == nil else {
            held?.append(line)
            return []
        }
        guard transport == .awaitingEndpoint else { return [.post(line)] }
        held = [line]
        return [.arm(limits.endpoint), .openEventStream]
    }

    /// `notifications/initialized` goes out: nothing may overtake it.
    mutating func announced() -> [Action] {
        held = []
        return [.arm(limits.initialized)]
    }

    /// It has arrived, or was refused, or takes too long.
    mutating func initialized() -> [Action] {
        guard held != nil else { return [] }
        let isAlone = transport == .streamable && back.era == .legacy
        return release() + (isAlone ? [.openStream(from: StreamPlace(), after: .zero)] : [])
    }

    mutating func holdExpired() -> [Action] {
        guard transport == .awaitingEndpoint else { return initialized() }
        return failToOpen("the server's event stream did not say in time where to post")
    }

    private mutating func release() -> [Action] {
        let lines = held ?? []
        held = nil
        return [.disarm] + lines.map { .post($0) }
    }

    // MARK: Streams

    /// The stream of 2024-11-05, which is at `address`, says where to post.
    mutating func endpointNamed(_ reference: String, at address: RemoteAddress) -> [Action] {
        guard transport == .awaitingEndpoint else { return [] }
        guard reference.utf8.count <= 8_192, let target = address.resolving(reference), target.isSameOrigin(as: address) else {
            return failToOpen("the server's event stream names a place at another origin to post to")
        }
        transport = .eventStream(endpoint: target)
        refusal = nil
        return release()
    }

    mutating func eventStreamEnded(_ request: RemoteRequest, _ how: RemotePost.End) -> [Action] {
        guard transport == .awaitingEndpoint else { return connectionLost("the server's event stream ended") }
        switch how {
        case .complete where request.isStream: return failToOpen("the server's event stream ended before it said where to post")
        case .complete: return failToOpen(refusal?.why.reason ?? "the server has no event stream any more")
        case .failed(let why): return failToOpen(why.reason)
        case .refused(let status, _):
            // That there is no stream either says less than what the POST was answered with.
            if let refusal, ![401, 403].contains(status) { return failToOpen(refusal.why.reason) }
            lastStatus = status
            return failToOpen(RemoteRefusal(status, ByteBuffer()).text)
        }
    }

    /// The next conversation finds out anew what the server speaks; so does this one, if it began with its client's era.
    private mutating func failToOpen(_ reason: String) -> [Action] {
        transport = .streamable
        let why = Undelivered(.notDelivered, reason)
        guard case .handshake = opening, let id = refusal?.handshake else { return giveUp(why) }
        held = nil
        refusal = (id, why)
        return [.disarm, .closeStream, .perform(back.received(line: JSONRPC.error(id: ByteBuffer(string: String(id)), MCPError(why))))]
    }

    /// The stream of what a server says by itself ended; servers and proxies end idle ones.
    mutating func streamEnded(_ request: RemoteRequest, _ how: RemotePost.End, lasted: TimeAmount) -> [Action] {
        switch how {
        case .complete where request.isStream, .failed: break
        case .complete, .refused: return []
        }
        let next = request.place.ended(isSteady: lasted >= .seconds(10))
        return [.openStream(from: next, after: next.wait(grows: true))]
    }
}
