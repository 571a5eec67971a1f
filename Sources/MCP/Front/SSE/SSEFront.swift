import NIOCore

/// The transport of revision 2024-11-05 (HTTP+SSE), for clients that never learned another: one GET stream carries everything that is
/// for the client, and each of its own messages is a POST that is only acknowledged.
///
/// A face of `MCPFront`: the messages are those of a legacy session whose life is the stream's. Confined to the front's loop. Origin,
/// authentication and body limits are the HTTP layer's and come before.
public final class SSEFront {
    private let front: MCPFront
    private var streams: [String: SSEStream] = [:]

    public init(front: MCPFront) {
        self.front = front
    }

    /// Streams that are open.
    public var count: Int { streams.count }

    /// Answers one HTTP request. Those of streamable HTTP, from a client that was given the old address, are served as such.
    ///
    /// - Parameters:
    ///   - query: of the request's target, without `?`.
    ///   - endpoint: where clients reach this, as a path or a whole URL without a query: what the first event says.
    public func handle(_ request: FrontRequest, query: Substring?, endpoint: String, caller: FrontCaller, exchange: any FrontExchange) {
        let id = Self.streamID(query)
        switch request.verb {
        case .get where request.sessionID == nil: open(request, endpoint, caller, exchange)
        case .post where id != nil:
            guard let id, let stream = streams[id], stream.belongs(to: caller) else {
                return front.refuse(exchange, 404, .invalidRequest("no stream of this sessionId is open; GET opens one"))
            }
            stream.post(request, caller: caller, exchange: exchange)
        case .get, .post, .delete, .other: front.handle(request, caller: caller, exchange: exchange)
        }
    }

    /// The endpoint is going away: streams end in order, each when the calls on it have been answered.
    public func closeAll() {
        for stream in Array(streams.values) { stream.drain() }
    }

    private func open(_ request: FrontRequest, _ endpoint: String, _ caller: FrontCaller, _ exchange: any FrontExchange) {
        guard AcceptHeader(request.accept).eventStream else {
            return front.refuse(exchange, 406, .invalidRequest("Accept must list text/event-stream"))
        }
        // Whoever knows it may post for its stream, if he is also its principal.
        let id = RandomID.hex128()
        streams[id] = SSEStream(front: front, caller: caller, exchange: exchange) { [weak self] in self?.streams[id] = nil }
        exchange.endpoint("\(endpoint)?sessionId=\(id)")
    }

    private static func streamID(_ query: Substring?) -> String? {
        (query ?? "").split(separator: "&").first { $0.hasPrefix("sessionId=") }.map { String($0.dropFirst("sessionId=".count)) }
    }
}
