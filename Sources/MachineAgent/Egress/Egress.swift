import CLinux
import Door
import Glibc
import NIOCore
import NIOPosix

/// The way out of a machine without a network interface: names are answered and connections taken here, and each is asked for
/// at the orchestrator's relay, which decides and connects. A server needs no setting for it. Confined to the loop.
final class Egress {
    /// Where things are; a machine's own, or a test's.
    struct Places {
        var nameServer = "127.0.0.53"
        var namePort = 53
        /// On every address there is: in the machine's namespace each is its own.
        var addresses = ["::", "0.0.0.0"]
        /// The port whose connections must be TLS to the name that they were opened to.
        var tlsPort = 443
        /// For a ClientHello, from the connection's beginning.
        var helloTimeout = TimeAmount.seconds(10)
        var relay = EgressProxy.relay
    }

    /// Listened on whatever the list has: what is refused there is told by name and port, and elsewhere by the kernel alone.
    static let usualPorts = [80, 443]

    /// Connections at one time: each has two descriptors here and two outside.
    static let connectionLimit = 128

    let places: Places
    let list: EgressList
    let loop: any EventLoop
    let refusals: RefusalReports
    var names: NameService
    private var connections = 0

    init(list: EgressList, places: Places = Places(), loop: any EventLoop, log: AgentLog) {
        self.list = list
        self.places = places
        self.loop = loop
        names = NameService(list: list)
        refusals = RefusalReports(relay: places.relay, loop: loop, log: log)
    }

    /// Binds everything; before the first child, who could bind it otherwise. Without SO_REUSEADDR and SO_REUSEPORT, so that
    /// nobody can bind the same beside it either.
    func open() throws -> EventLoopFuture<Void> {
        let ports = try Set(list.ports + Self.usualPorts).map { port in
            listen(try places.addresses.map { try SocketAddress(ipAddress: $0, port: port) }[...], port)
        }
        return EventLoopFuture.andAllSucceed([openNames()] + ports.map { $0.map { _ in } }, on: loop)
    }

    /// The name service alone, where there is nothing to be reached.
    func openNames() -> EventLoopFuture<Void> {
        do {
            let nameServer = try SocketAddress(ipAddress: places.nameServer, port: places.namePort)
            return EventLoopFuture.andAllSucceed(
                [listenForNames(nameServer), listenForNamesByTCP(nameServer)].map { $0.map { _ in } }, on: loop)
        } catch {
            return loop.makeFailedFuture(error)
        }
    }

    /// - Returns: whether there is room for one connection more, of either kind.
    func enter() -> Bool {
        guard connections < Self.connectionLimit else { return false }
        connections += 1
        return true
    }

    func leave() { connections -= 1 }

    private func listenForNames(_ address: SocketAddress) -> EventLoopFuture<any Channel> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        return DatagramBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(NameDatagrams(egress: bound.value)) }
            }
            .bind(to: address)
    }

    private func listenForNamesByTCP(_ address: SocketAddress) -> EventLoopFuture<any Channel> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        return ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(NameStream(egress: bound.value)) }
            }
            .bind(to: address)
    }

    /// At the first address that there is: one socket for both families, or IPv4 alone where the kernel has no other.
    private func listen(_ addresses: ArraySlice<SocketAddress>, _ port: Int) -> EventLoopFuture<any Channel> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        guard let first = addresses.first else { return loop.makeFailedFuture(ChannelError.unknownLocalAddress) }
        return listen(at: first, port).flatMapError { error in
            addresses.count > 1 ? bound.value.listen(addresses.dropFirst(), port) : bound.value.loop.makeFailedFuture(error)
        }
    }

    private func listen(at address: SocketAddress, _ port: Int) -> EventLoopFuture<any Channel> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        return ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 128)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(OutwardConnection(egress: bound.value, port: port))
                }
            }
            .bind(to: address)
    }
}
