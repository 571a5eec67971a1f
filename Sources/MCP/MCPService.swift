public import NIOCore

/// Whoever answers MCP requests in the modern dialect (2026-07-28): the child behind the bridge, a machine across the
/// private hop, a virtual MCP, and every governance service that wraps another one.
///
/// Confined to one event loop: `call` is made on `eventLoop`, and everything it hands back is used there. Sinks instead
/// of `async`, because an async hop costs 14 µs on a path whose whole budget is 50.
public protocol MCPService: AnyObject {
    /// The loop this service lives on.
    var eventLoop: any EventLoop { get }

    /// Starts `request`. The sink may be called before this returns; `finish` is called exactly once, also after `cancel`.
    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall
}

/// Where the answer to one call goes.
public protocol MCPSink: AnyObject {
    /// One whole JSON-RPC notification message that belongs to this call (progress, log), in the modern dialect.
    /// `.pause` asks the producer to stop until `MCPCall.resume()`.
    func notification(_ message: ByteBuffer) -> Demand

    /// The end of the call; nothing follows.
    func finish(_ outcome: consuming MCPOutcome)
}

/// A running call, as its caller holds it.
public protocol MCPCall: AnyObject {
    /// The caller went away or sent `notifications/cancelled`. `finish` still follows. Idempotent.
    func cancel()
    /// The sink can take notifications again after it answered `.pause`.
    func resume()
}

/// A call that was over when it began.
public final class EndedCall: MCPCall {
    public init() {}
    public func cancel() {}
    public func resume() {}
}

/// Whether a sink can take more.
public enum Demand: Sendable, Equatable {
    case more
    case pause
}

/// How a call ended.
public enum MCPOutcome: Sendable {
    /// The JSON text of the `result` member: an object, never the whole message.
    case result(ByteBuffer)
    /// A JSON-RPC error of the protocol.
    case error(MCPError)
    /// The call did not come back.
    case failed(Undelivered)
}

/// Why no answer came. The two kinds are never confused: only the first is safe to repeat.
public struct Undelivered: Error, Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// The server has not seen the request.
        case notDelivered = "not_delivered"
        /// The server may have run the request.
        case outcomeUnknown = "outcome_unknown"
    }
    public var kind: Kind
    /// One line for the caller; carries no secret and no stderr of a hosted child.
    public var reason: String
    /// Under which the server's log has more, where the caller is not to see it.
    public var incident: String?
    /// Why, for programs; where there is a word for it.
    public var code: String?
    /// When it is worth trying again.
    public var retryAfterSeconds: Int?

    public init(_ kind: Kind, _ reason: String, incident: String? = nil, code: String? = nil, retryAfterSeconds: Int? = nil) {
        self.code = code
        self.retryAfterSeconds = retryAfterSeconds
        self.kind = kind
        self.reason = reason
        self.incident = incident
    }

    /// A caller that reads too slowly for what its server says beside its answer.
    public static let unread = Undelivered(.outcomeUnknown, "the caller did not read what the server sent")

    /// The reason, and what to ask an admin for.
    public var text: String { reason + (incident.map { " (incident \($0))" } ?? "") }
}

/// What travels beside a request: who it belongs to, not what it says.
public struct CallContext {
    /// What the bridge keeps children by.
    public var session: SessionKey
    /// When the caller stops waiting; `nil` leaves it to the service's own limit.
    public var deadline: NIODeadline?
    /// The JSON object text of the caller's declared capabilities.
    public var clientCapabilities: ByteBuffer?
    /// What the client itself speaks. Inside everything is modern; a server that speaks both eras is best spoken to in its client's.
    public var clientEra: Era
    /// The wrapper services' own record of this call (the gateway's audit and policy record). Opaque to everybody else.
    public var attachment: AnyObject?
    /// Beside a call whose client is being asked: waits until no answer is needed any more, and brings nothing (``PendingCall``). Said by
    /// a front and by no client: what counts calls does not count it.
    public internal(set) var isWatch = false

    public init(
        session: SessionKey, deadline: NIODeadline? = nil, clientCapabilities: ByteBuffer? = nil, clientEra: Era = .modern,
        attachment: AnyObject? = nil
    ) {
        self.session = session
        self.deadline = deadline
        self.clientCapabilities = clientCapabilities
        self.clientEra = clientEra
        self.attachment = attachment
    }
}

/// A session as a bridge sees it: another fingerprint of credentials is another child.
public struct SessionKey: Hashable, Sendable {
    public var id: String
    /// Fingerprint of the credentials the child must have been started with; empty for none.
    public var fingerprint: String
    /// Whom room is shared out to fairly: a bridge knows nothing of it but that it is the same or another. Empty where all sessions
    /// are everybody's.
    public var owner: String
    /// Of several children of one session, which; a bridge's own business, and 0 for everybody else.
    public var variant = 0

    public init(id: String, fingerprint: String = "", owner: String = "") {
        self.id = id
        self.fingerprint = fingerprint
        self.owner = owner
    }

    /// The session's key without regard to which of its children.
    public var session: SessionKey { with(variant: 0) }

    /// The same session's key of another child.
    public func with(variant: Int) -> SessionKey {
        var key = self
        key.variant = variant
        return key
    }
}
