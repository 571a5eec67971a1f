import NIOCore
import NIOHTTP1

/// One request and the answer to it. Used on the connection's loop. After `reply`, `closeStream`, `abort` or the
/// client's going every further call is ignored.
public final class ServerExchange {
    public let head: HTTPRequestHead
    /// The whole body, within the limit; empty once `handle` has returned, so that a long answer does not hold it.
    public private(set) var body: ByteBuffer
    public let peer: ServerPeer
    public let eventLoop: any EventLoop
    /// Called once when the client went away before the end of the answer; the exchange is finished then.
    public var onClientGone: (() -> Void)?
    /// Called when a client that made `event` or `write` answer `false` can take more.
    public var onResume: (() -> Void)?
    /// Called once when the server begins to close: a stream without an end should be ended now.
    public var onDrain: (() -> Void)?

    private enum State {
        case waiting
        /// The head of the answer is out, the body goes on.
        case open(isEvents: Bool)
        case finished
    }

    private var state = State.waiting
    /// `nil` once the exchange has finished.
    private var connection: HTTPServerConnection?

    init(head: HTTPRequestHead, body: ByteBuffer, peer: ServerPeer, eventLoop: any EventLoop, connection: HTTPServerConnection) {
        self.head = head
        self.body = body
        self.peer = peer
        self.eventLoop = eventLoop
        self.connection = connection
    }

    public var method: HTTPMethod { head.method }
    /// The target as it stands in the request line.
    public var uri: String { head.uri }
    /// The target up to its query.
    public var path: Substring { head.uri[..<(queryMark ?? head.uri.endIndex)] }
    /// What follows the first `?`.
    public var query: Substring? { queryMark.map { head.uri[head.uri.utf8.index(after: $0)...] } }
    private var queryMark: String.Index? { head.uri.utf8.firstIndex(of: UInt8(ascii: "?")) }

    /// The first value of a header.
    public func header(_ name: String) -> String? { head.headers.first(name: name) }
    /// Every value of a header, in order, so that a repeated one shows.
    public func headers(_ name: String) -> [String] { head.headers[name] }

    /// The answer is complete, or nobody waits for it.
    public var isFinished: Bool {
        if case .finished = state { return true }
        return false
    }

    /// A complete answer. Without a body `content-length: 0` is sent.
    public func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) {
        guard case .waiting = state else { return }
        let connection = finish()
        connection?.send(status: status, headers: headers, body: body)
    }

    /// Begins an event stream: status 200, sent at once, and a comment whenever it is silent for 15 seconds.
    public func openStream(headers: [(String, String)] = []) {
        let own = [("content-type", "text/event-stream"), ("cache-control", "no-store, no-transform"), ("x-accel-buffering", "no")]
        open(status: 200, headers: own + headers, isEvents: true)
    }

    /// Begins a body that comes in pieces, such as NDJSON.
    public func openBody(status: Int, headers: [(String, String)]) {
        open(status: status, headers: headers, isEvents: false)
    }

    /// Sends one event, a `message` unless it has another name; opens the stream first if need be.
    ///
    /// - Returns: `false` to pause until `onResume`; what is sent nevertheless is kept in memory.
    @discardableResult
    public func event(_ data: ByteBuffer, id: String? = nil, name: String? = nil) -> Bool {
        if case .waiting = state { openStream() }
        guard case .open(isEvents: true) = state, let connection else { return true }
        return connection.sendEvent(data, id: id, name: name)
    }

    /// Sends an event that has an id and nothing to say: a reader can resume after it, and learns how soon.
    public func prime(id: String) {
        if case .waiting = state { openStream() }
        guard case .open(isEvents: true) = state, let connection else { return }
        var event = ByteBuffer()
        SSE.writePrime(id: id, retry: Self.retry, into: &event)
        _ = connection.sendPiece(event)
    }

    /// What a reader that lost its stream waits before it comes back, in milliseconds.
    private static let retry = 1_000

    /// Sends a piece of a body that `openBody` began.
    ///
    /// - Returns: `false` to pause until `onResume`; what is sent nevertheless is kept in memory.
    @discardableResult
    public func write(_ piece: ByteBuffer) -> Bool {
        guard case .open = state, let connection else { return true }
        return connection.sendPiece(piece)
    }

    /// Ends a stream or a body in order.
    public func closeStream() {
        guard case .open = state else { return }
        finish()?.endStream()
    }

    /// Cuts the connection: what was sent is visibly incomplete.
    public func abort() {
        if isFinished { return }
        finish()?.cut()
    }

    private func open(status: Int, headers: [(String, String)], isEvents: Bool) {
        guard case .waiting = state else { return }
        state = .open(isEvents: isEvents)
        connection?.openStream(status: status, headers: headers, isEvents: isEvents)
    }

    /// The client has shown who it is: its connection may be idle for longer and is not closed to make room for strangers', and what
    /// is kept for it counts as `payer`'s.
    public func trust(payer: String) { connection?.trust(payer: payer) }

    // MARK: - For the connection

    func dropBody() { body = ByteBuffer() }

    func clientGone() {
        guard !isFinished else { return }
        let callback = onClientGone
        _ = finish()
        callback?()
    }

    func resume() {
        if !isFinished { onResume?() }
    }

    func drain() {
        guard !isFinished else { return }
        let callback = onDrain
        onDrain = nil
        callback?()
    }

    /// Lets go of everything that could hold the connection or the delegate's objects in memory.
    private func finish() -> HTTPServerConnection? {
        state = .finished
        onClientGone = nil
        onResume = nil
        onDrain = nil
        defer { connection = nil }
        return connection
    }
}
