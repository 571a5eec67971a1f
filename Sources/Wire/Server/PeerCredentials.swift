import NIOCore

/// `struct ucred` of the kernel.
struct PeerCredentials: Sendable {
    var pid: Int32
    var uid: UInt32
    var gid: UInt32

    private static let option = NIOBSDSocket.Option(rawValue: 17)  // SO_PEERCRED, which NIO has no name for

    /// Who is at the other end of `channel`; on its loop the future is fulfilled already.
    static func peer(of channel: any Channel) -> EventLoopFuture<ServerPeer> {
        let address = channel.remoteAddress
        guard case .unixDomainSocket = channel.localAddress, let provider = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeSucceededFuture(ServerPeer(address: address))
        }
        let credentials: EventLoopFuture<PeerCredentials> = provider.unsafeGetSocketOption(level: .socket, name: option)
        return credentials.map { ServerPeer(address: address, uid: $0.uid) }
            .flatMapError { _ in channel.eventLoop.makeSucceededFuture(ServerPeer(address: address)) }
    }
}
