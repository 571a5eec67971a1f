import CLinux
import Glibc
import NIOCore
import NIOPosix
import StdioBridge
import Wire

/// Bridges on loopback whose insides can be watched: what `berth test` runs a server through. The process must have no other children.
public final class ObservedBridges: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let reaper: Reaper

    /// - Parameter leftBehind: hears what still runs after a server's process has ended, on any thread.
    public init(leftBehind: @escaping @Sendable (_ by: pid_t, [LeftProcess]) -> Void) throws {
        _ = clinux_set_child_subreaper(1)
        reaper = try Reaper(Reaper.Configuration(sweepsOrphans: true, onLeftBehind: leftBehind))
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    }

    /// Serves `server` on a free port; no process is started before somebody calls.
    ///
    /// - Parameters:
    ///   - tap: gets every message between the bridge and the server, on the bridge's thread.
    ///   - log: gets what the server writes to its standard error and what the bridge says of it, likewise.
    public func open(
        _ server: StandaloneServer, limits: BridgeLimits, tap: @escaping @Sendable (TappedLine) -> Void,
        log: @escaping @Sendable (StandaloneLine) -> Void
    ) async throws -> ObservedBridge {
        let loop = group.next()
        let configuration = StandaloneConfiguration(servers: [server], limits: limits)
        let core = try await loop.submit { [reaper] in
            StandaloneCore(configuration, reaper: reaper, loop: loop, tap: tap, log: log)
        }.get()
        do {
            let listener = try await PublicServer.bind(
                .tcp(host: configuration.host, port: 0), group: group, delegate: { _ in core.router })
            return ObservedBridge(core, listener)
        } catch {
            await core.shutdown()
            throw error
        }
    }

    /// Signals every process of every server: for who does not wait for them to end by themselves.
    public func signalAll(_ number: Int32) { reaper.signalAll(number) }

    /// Ends what is left of every server. Bridges are to be closed first.
    ///
    /// - Returns: what could not be ended.
    public func close() async -> [LeftProcess] {
        let left = await reaper.killOrphans()
        reaper.stop()
        try? await group.shutdownGracefully()
        return left
    }
}

/// One server behind a port of loopback.
public final class ObservedBridge: Sendable {
    private let core: StandaloneCore
    private let listener: PublicServer

    init(_ core: StandaloneCore, _ listener: PublicServer) {
        self.core = core
        self.listener = listener
    }

    /// The session that all clients of the stateless revision share.
    public static let statelessSession = MemorySessions.stateless(StandaloneRouter.anybody)

    /// Where `/mcp` and `/sse` are, on 127.0.0.1.
    public var port: Int { listener.port ?? 0 }

    /// How the server's processes fare.
    public func reports() async -> [ChildReport] { await core.reports() }

    /// Ends every process of the server.
    public func close() async {
        await core.closeStreams()
        await listener.close(drain: .seconds(1))
        await core.shutdown()
    }
}
