public import NIOCore

/// What makes a pool's connections confidential. Wire links no TLS library: whoever needs one passes it in.
public protocol ClientSecurity: Sendable {
    /// The handlers that stand before all others of a new connection: they let nothing out before `host` has proven itself, and fail
    /// the connection, with an error that a person can read, where it does not.
    ///
    /// - Parameter host: a name, or an address without brackets.
    func handlers(host: String) throws -> [any ChannelHandler]
}
