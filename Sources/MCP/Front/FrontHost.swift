public import NIOCore

/// Who sent a request, as the HTTP layer authenticated it.
public struct FrontCaller {
    public var principal: String
    /// The virtual MCP's slug; empty for a bridge.
    public var endpoint: String
    /// The HTTP layer's own record, handed back to the host.
    public var attachment: AnyObject?

    public init(principal: String, endpoint: String, attachment: AnyObject? = nil) {
        self.principal = principal
        self.endpoint = endpoint
        self.attachment = attachment
    }
}

/// What a legacy client said of itself in `initialize`; the host keeps it under the session's id.
public struct LegacySessionRecord: Sendable, Equatable {
    /// The negotiated revision.
    public let protocolVersion: String
    /// JSON object.
    public let clientInfo: ByteBuffer?
    /// JSON object.
    public let clientCapabilities: ByteBuffer
    /// The capabilities that servers may rely on.
    let declared: ByteBuffer
    /// What every request of the session says in the `_meta` of the modern dialect.
    let meta: ImpliedMeta

    public init(protocolVersion: String, clientInfo: ByteBuffer?, clientCapabilities: ByteBuffer) {
        self.protocolVersion = protocolVersion
        self.clientInfo = clientInfo
        self.clientCapabilities = clientCapabilities
        declared = LegacyFront.declared(clientCapabilities, canBeAsked: true)
        meta = ImpliedMeta(capabilities: declared, clientInfo: clientInfo)
    }
}

/// What a front needs of the process it lives in: identities and sessions. The gateway's `SessionHub` and the bridge's in-memory store.
///
/// Called on the front's loop; completions run on it, at once or later, exactly once.
public protocol FrontHost: AnyObject {
    /// What `initialize` and `server/discover` answer. `version` is the client's revision; `declaring`, what it can be asked, of one of the
    /// handshake revisions.
    func identity(
        for caller: FrontCaller, version: String, declaring: ByteBuffer?, completion: @escaping (Result<ServerIdentity, MCPError>) -> Void
    )
    /// Makes a session and answers its id: visible ASCII, unguessable.
    func openSession(_ new: LegacySessionRecord, caller: FrontCaller, completion: @escaping (Result<String, MCPError>) -> Void)
    /// `nil` when the session is unknown, ended or not this caller's.
    func session(id: String, caller: FrontCaller, completion: @escaping (LegacySessionRecord?) -> Void)
    func closeSession(id: String, caller: FrontCaller)
    /// The arguments that clients repeat in headers, by tool, as far as they are known.
    func parameterHeaders(for caller: FrontCaller) -> [String: ParameterHeaders]
    /// The context of a call; `session` is `nil` for modern clients. The front fills in the declared capabilities.
    func context(for caller: FrontCaller, session: String?) -> CallContext
}

/// Switches of a front.
public struct FrontSettings: Sendable {
    /// Accept a legacy `MCP-Protocol-Version` beside a modern body without a session, which a widespread client sends.
    public var toleratesLegacyHeader: Bool
    /// Longest request accepted, in bytes.
    public var maximumBytes: Int
    /// A legacy session's requests go to a server of its own, or to one that others of its principal share, and to no other: what that
    /// says and asks outside of calls is the session's. False behind a virtual MCP, where a session has many servers.
    public var sessionsHaveServers: Bool

    public init(toleratesLegacyHeader: Bool = true, maximumBytes: Int = 4 << 20, sessionsHaveServers: Bool = false) {
        self.toleratesLegacyHeader = toleratesLegacyHeader
        self.maximumBytes = maximumBytes
        self.sessionsHaveServers = sessionsHaveServers
    }
}
