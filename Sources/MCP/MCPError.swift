public import NIOCore

/// A JSON-RPC error object. `data` is JSON text, passed through byte for byte.
public struct MCPError: Error, Sendable, Equatable {
    public var code: Int
    public var message: String
    public var data: ByteBuffer?
    /// Seconds after which it is worth trying again; HTTP fronts say it in a header, too.
    public var retryAfter: Int?

    public init(code: Int, message: String, data: ByteBuffer? = nil) {
        self.code = code
        self.message = message
        self.data = data
    }
}
