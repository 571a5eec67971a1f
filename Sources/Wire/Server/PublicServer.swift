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
    /// A bound socket, listening or not, which belongs to the server from here on, also when it cannot listen.
    case descriptor(CInt)
}

/// An HTTP/1.1 server for clients that we do not trust: strict heads, bounded bodies, time limits, one request at a time
/// per connection.
public final class PublicServer: Sendable {
    /// What the kernel says it listens on.
    public let localAddress: SocketAddress?
    /// The TCP port.
    public var port: Int? { localAddress?.port }

    let shared: ServerShared
    private let listener: any Channel
    private let loops: [Loop]
    private let path: String?

    private struct Loop: Sendable {
        let eventLoop: any EventLoop
        let state: NIOLoopBound<ServerLoop>
    }

    private init(listener: any Channel, loops: [Loop], shared: ServerShared, path: String?) {
        self.shared = shared
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
        // What came or was made here is ours until NIO has it.
        var (bound, path): (CInt?, String?) = (nil, nil)
        if case .descriptor(let descriptor) = address { bound = descriptor }
        do {
            return try await bind(address, group, limits, delegate, &bound, &path)
        } catch {
            if let bound { Glibc.close(bound) }
            if let path { unlink(path) }
            throw error
        }
    }

    private static func bind(
        _ address: ListenAddress, _ group: any EventLoopGroup, _ limits: ServerLimits,
        _ delegate: @escaping @Sendable (any EventLoop) -> any ServerDelegate, _ bound: inout CInt?, _ path: inout String?
    ) async throws -> PublicServer {
        let shared = ServerShared(limits: limits)
        var loops: [Loop] = []
        for eventLoop in group.makeIterator() {
            let state = try await eventLoop.submit {
                NIOLoopBound(ServerLoop(limits: limits, delegate: delegate(eventLoop), shared: shared), eventLoop: eventLoop)
            }.get()
            loops.append(Loop(eventLoop: eventLoop, state: state))
        }
        let backlog: CInt = 1_024
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: backlog)
            .childChannelInitializer { [loops] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = loops.first(where: { $0.eventLoop === channel.eventLoop }) else { throw ChannelError.unknownLocalAddress }
                    if try loop.state.value.accept(channel) { return }
                    // Connections are dealt out in turn, but those that a client closes need not be: the room is on other loops.
                    for other in loops where other.eventLoop !== channel.eventLoop { other.eventLoop.execute { _ = other.state.value.makeRoom() } }
                }
            }
        let listener: any Channel
        switch address {
        case .tcp(let host, let port):
            // What a client whose host is gone never acknowledges ends its connection no later than a client that reads nothing is ended.
            let patience = Int(CInt(clamping: limits.stallTimeout.nanoseconds / 1_000_000))
            let reusing = bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.socket(Int(IPPROTO_TCP), TCP_USER_TIMEOUT), value: patience)
            if let numeric = try? SocketAddress(ipAddress: host, port: port) {
                listener = try await reusing.bind(to: numeric).get()
            } else {
                listener = try await reusing.bind(host: host, port: port).get()
            }
        case .unix(let wanted, let mode):
            let descriptor = try UnixListener.open(path: wanted, mode: mode, backlog: backlog)
            path = wanted
            listener = try await bootstrap.withBoundSocket(descriptor).get()
        case .descriptor(let descriptor):
            _ = clinux_set_cloexec(descriptor, 1)
            try checkSocket(descriptor)
            bound = nil
            listener = try await bootstrap.withBoundSocket(descriptor).get()
        }
        return PublicServer(listener: listener, loops: loops, shared: shared, path: path)
    }

    /// Anything else would end the process in NIO, which takes such a descriptor at its word.
    private static func checkSocket(_ descriptor: CInt) throws {
        var (kind, size) = (CInt(0), socklen_t(MemoryLayout<CInt>.size))
        guard getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &kind, &size) == 0 else { throw IOError(errnoCode: errno, reason: "listen") }
        guard kind == CInt(SOCK_STREAM.rawValue) else { throw IOError(errnoCode: ESOCKTNOSUPPORT, reason: "listen") }
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
