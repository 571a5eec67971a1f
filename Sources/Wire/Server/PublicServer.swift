import CLinux
import Glibc
import NIOCore
import NIOPosix

/// Where a server listens.
public enum ListenAddress: Sendable {
    /// Port 0 takes any that is free.
    case tcp(host: String, port: Int)
    /// Made with that mode; a socket left there is replaced. The path is removed by `close`.
    case unix(path: String, mode: UInt32 = 0o600)
    /// A bound socket, listening or not, which belongs to the server from here on.
    case descriptor(CInt)
}

/// An HTTP/1.1 server for clients that we do not trust: strict heads, bounded bodies, time limits, one request at a time
/// per connection.
public final class PublicServer: Sendable {
    /// What the kernel says it listens on.
    public let localAddress: SocketAddress?
    /// The TCP port.
    public var port: Int? { localAddress?.port }

    private let listener: any Channel
    private let loops: [Loop]
    private let path: String?

    private struct Loop: Sendable {
        let eventLoop: any EventLoop
        let state: NIOLoopBound<ServerLoop>
    }

    private init(listener: any Channel, loops: [Loop], path: String?) {
        self.listener = listener
        self.loops = loops
        self.path = path
        localAddress = listener.localAddress
    }

    /// Listens, and serves accepted connections on the loops of `group`.
    ///
    /// - Parameter delegate: Called once for each loop, on that loop.
    /// - Throws: What the kernel refuses, such as an address in use.
    public static func bind(
        _ address: ListenAddress, group: any EventLoopGroup, limits: ServerLimits = ServerLimits(),
        delegate: @escaping @Sendable (any EventLoop) -> any ServerDelegate
    ) async throws -> PublicServer {
        let total = ConnectionCount()
        var loops: [Loop] = []
        for eventLoop in group.makeIterator() {
            let state = try await eventLoop.submit {
                NIOLoopBound(ServerLoop(limits: limits, delegate: delegate(eventLoop), total: total), eventLoop: eventLoop)
            }.get()
            loops.append(Loop(eventLoop: eventLoop, state: state))
        }
        let backlog: CInt = 1_024
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: backlog)
            .childChannelInitializer { [loops] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = loops.first(where: { $0.eventLoop === channel.eventLoop }) else { throw ChannelError.unknownLocalAddress }
                    try loop.state.value.accept(channel)
                }
            }
        var path: String?
        let listener: any Channel
        switch address {
        case .tcp(let host, let port):
            let reusing = bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            if let numeric = try? SocketAddress(ipAddress: host, port: port) {
                listener = try await reusing.bind(to: numeric).get()
            } else {
                listener = try await reusing.bind(host: host, port: port).get()
            }
        case .unix(let wanted, let mode):
            path = wanted
            let descriptor = try UnixListener.open(path: wanted, mode: mode, backlog: backlog)
            listener = try await bootstrap.withBoundSocket(descriptor).get()
        case .descriptor(let descriptor):
            _ = clinux_set_cloexec(descriptor, 1)
            listener = try await bootstrap.withBoundSocket(descriptor).get()
        }
        return PublicServer(listener: listener, loops: loops, path: path)
    }

    /// Stops accepting at once, lets running exchanges finish and cuts those that have not after `drain`.
    public func close(drain: TimeAmount = .seconds(5)) async {
        try? await listener.close().get()
        if let path { unlink(path) }
        await withDiscardingTaskGroup { group in
            for loop in loops {
                group.addTask { await Self.drain(loop, within: drain) }
            }
        }
    }

    private static func drain(_ loop: Loop, within time: TimeAmount) async {
        let promise = loop.eventLoop.makePromise(of: Void.self)
        loop.eventLoop.execute {
            let state = loop.state.value
            let cut = loop.eventLoop.assumeIsolated().scheduleTask(in: time) { state.cut() }
            state.drain {
                cut.cancel()
                promise.succeed()
            }
        }
        try? await promise.futureResult.get()
    }
}
