public import ControlSurface
public import NIOCore

/// Who asks the control surface.
public enum ControlPeer: Sendable, Equatable {
    /// The host's root over the control socket.
    case localRoot
    /// What the request's bearer token allows now; nil without one, or with one that is unknown or expired.
    case bearer(Grant?)
}

/// A request that is not MCP's, with its whole body.
public struct ControlRequest: Sendable {
    public var method: String
    /// Path and query as they came.
    public var uri: String
    public var headers: [(name: String, value: String)]
    /// At most 1 MiB.
    public var body: ByteBuffer
    public var peer: ControlPeer
    /// Whose request it is, through the proxies that are trusted; empty on the control socket.
    public var clientAddress: String

    public init(
        method: String, uri: String, headers: [(name: String, value: String)] = [], body: ByteBuffer = ByteBuffer(), peer: ControlPeer,
        clientAddress: String = ""
    ) {
        self.method = method
        self.uri = uri
        self.headers = headers
        self.body = body
        self.peer = peer
        self.clientAddress = clientAddress
    }
}

/// Answers everything that is not MCP's: the REST surface, and later OAuth and console.
public protocol ControlResponder: Sendable {
    /// Runs in a task of its own, which is cancelled when the client goes away or its token does. Answers by `writer`; what
    /// was not answered when this returns is answered with status 500, and a body without an end is cut.
    func respond(to request: ControlRequest, writer: ExchangeWriter) async
}
