import CLinux
import Glibc
import NIOCore
import NIOPosix
import StdioBridge
import Wire

/// `berth bridge`: STDIO servers behind HTTP endpoints, without gateway or machine.
public enum StandaloneBridge {
    /// Where a bridge serves, and what.
    public struct Ready: Sendable {
        /// `http://HOST:PORT`
        public var base: String
        public var port: Int
        /// In the configuration's order.
        public var servers: [Server]

        public struct Server: Sendable {
            public var name: String?
            public var url: String
            /// nil: it did not start, for `reason`.
            public var tools: Int?
            public var reason: String?
        }
    }

    /// Why a bridge no longer serves.
    public enum End: Sendable, Equatable {
        /// A signal asked for it.
        case stopped
        /// It could not listen, or a server did not start where that counts: the reason, and under it the server's last lines.
        case notStarted(String)
        /// A server crashed where that counts.
        case crashed(String)
        /// Something of our own.
        case failed(String)
    }

    /// Serves until one of `EndSignals`. Blocks the calling thread; the process must have no other children, since every orphan is
    /// reaped here.
    ///
    /// - Parameters:
    ///   - announce: hears once where it serves, when every server has started or failed to. It listens before that.
    ///   - log: gets lines for the operator, on any thread.
    public static func run(
        _ configuration: StandaloneConfiguration, log: @escaping @Sendable (StandaloneLine) -> Void,
        announce: @escaping @Sendable (Ready) -> Void
    ) -> End {
        _ = clinux_set_child_subreaper(1)
        let stop = StandaloneStop()
        let reaper: Reaper
        do {
            reaper = try Reaper(Reaper.Configuration(sweepsOrphans: true, signals: EndSignals.all, onSignal: { _ in stop.end(.stopped) }))
        } catch {
            return .failed("\(error)")
        }
        let done = EndGate()
        // Detached: a task that wanted this thread would wait for it forever.
        Task.detached { done.open(await serve(configuration, reaper: reaper, stop: stop, announce: announce, log: log)) }
        return done.wait()
    }

    private static func serve(
        _ configuration: StandaloneConfiguration, reaper: Reaper, stop: StandaloneStop, announce: @escaping @Sendable (Ready) -> Void,
        log: @escaping @Sendable (StandaloneLine) -> Void
    ) async -> End {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        var end: End
        do {
            let core = try await loop.submit { StandaloneCore(configuration, reaper: reaper, loop: loop, log: log) }.get()
            end = await serve(configuration, core, group: group, stop: stop, announce: announce, log: log)
            await core.shutdown()
        } catch {
            end = .failed("\(error)")
        }
        for process in await reaper.killOrphans() {
            log(StandaloneLine(.error, "process \(process.pid) of a server could not be ended: \(process.command)"))
        }
        reaper.stop()
        try? await group.shutdownGracefully()
        return end
    }

    private static func serve(
        _ configuration: StandaloneConfiguration, _ core: StandaloneCore, group: any EventLoopGroup, stop: StandaloneStop,
        announce: @escaping @Sendable (Ready) -> Void, log: @escaping @Sendable (StandaloneLine) -> Void
    ) async -> End {
        let server: PublicServer
        do {
            // First: what comes while servers start waits for them instead of being turned away.
            server = try await PublicServer.bind(
                .tcp(host: configuration.host, port: configuration.port), group: group, delegate: { _ in core.router })
        } catch {
            return .notStarted("\(error)")
        }
        // Before the first process, which would else be older than what is compared with.
        let looks = configuration.watches ? configuration.servers.map { TreeScan.scan($0.directory ?? ".") } : []
        let host = configuration.host.contains(":") ? "[\(configuration.host)]" : configuration.host
        let port = server.port ?? configuration.port
        let starting = Task.detached {
            // Before anything starts: one may crash while another still comes up.
            if configuration.exitsOnCrash { core.onCrash { stop.end(.crashed($0)) } }
            let states = await core.start()
            if configuration.exitsOnCrash {
                if let failed = states.first(where: { $0.reason != nil }) {
                    stop.end(.notStarted((failed.name.map { "\($0): " } ?? "") + (failed.reason ?? "")))
                }
            }
            guard !stop.hasEnded else { return }
            let base = "http://\(host):\(port)"
            announce(
                Ready(
                    base: base, port: port,
                    servers: states.map { .init(name: $0.name, url: base + $0.path, tools: $0.tools, reason: $0.reason) }))
        }
        let watching = watches(configuration, looks, core, log)
        let end = await stop.wait()
        for watch in watching { watch.cancel() }
        await core.closeStreams()
        await server.close(drain: .seconds(2))
        // Servers that still start are told to end, which ends the wait for them.
        await core.shutdown()
        await starting.value
        for watch in watching { await watch.value }
        return end
    }

    private static func watches(
        _ configuration: StandaloneConfiguration, _ looks: [TreeScan], _ core: StandaloneCore, _ log: @escaping @Sendable (StandaloneLine) -> Void
    ) -> [Task<Void, Never>] {
        zip(configuration.servers, looks).enumerated().map { index, pair in
            let (server, first) = pair
            return Task.detached {
                await FileWatch.run(directory: server.directory ?? ".", first: first) { event in
                    log(StandaloneLine(.info, event.text, server: server.name))
                    if case .changed = event { core.renew(index) }
                }
            }
        }
    }
}
