public import NIOCore

/// The version that this build calls itself, to everybody.
public enum BerthVersion {
    public static let current = "0.1.0"
}

/// Who speaks as a client: what `initialize` and `_meta` say of it.
public struct ClientIdentity: Sendable, Equatable {
    /// JSON object: `{"name":…,"version":…}`.
    public var info: ByteBuffer
    /// JSON object: the declared client capabilities.
    public var capabilities: ByteBuffer

    public init(info: ByteBuffer, capabilities: ByteBuffer = ByteBuffer(string: "{}")) {
        self.info = info
        self.capabilities = capabilities
    }

    /// Berth itself, which declares nothing.
    public static let berth = ClientIdentity(info: ByteBuffer(string: #"{"name":"berth","version":"\#(BerthVersion.current)"}"#))
}

/// Who a server says it is, as JSON texts to be passed through.
public struct ServerIdentity: Sendable, Equatable {
    /// JSON object: `{"name":…,"version":…}`.
    public var serverInfo: ByteBuffer
    /// JSON object: the server's capabilities.
    public var capabilities: ByteBuffer
    /// A JSON string literal, quotes included.
    public var instructions: ByteBuffer?

    public init(serverInfo: ByteBuffer, capabilities: ByteBuffer = ByteBuffer(string: "{}"), instructions: ByteBuffer? = nil) {
        self.serverInfo = serverInfo
        self.capabilities = capabilities
        self.instructions = instructions
    }
}
