public import NIOCore

/// `struct ucred` of the kernel.
public struct PeerCredentials: Sendable {
    public var pid: Int32
    public var uid: UInt32
    public var gid: UInt32

    private static let option = NIOBSDSocket.Option(rawValue: 17)  // SO_PEERCRED, which NIO has no name for

    /// The process at the other end of a unix socket when it connected; nil for any other channel. On its loop the future is fulfilled
    /// already.
    public static func of(_ channel: any Channel) -> EventLoopFuture<PeerCredentials?> {
        guard case .unixDomainSocket = channel.localAddress, let provider = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeSucceededFuture(nil)
        }
        let credentials: EventLoopFuture<PeerCredentials> = provider.unsafeGetSocketOption(level: .socket, name: option)
        return credentials.map { $0 }.recover { _ in nil }
    }

    /// Who is at the other end of `channel`; on its loop the future is fulfilled already.
    static func peer(of channel: any Channel) -> EventLoopFuture<ServerPeer> {
        let address = channel.remoteAddress
        return of(channel).map { ServerPeer(address: address, uid: $0?.uid) }
    }
}
