import MCP
import NIOCore
import StdioBridge
import Wire

/// The loop-confined parts of a running bridge, as the serving task holds them.
final class StandaloneCore: Sendable {
    /// How one server's start ended.
    struct State: Sendable {
        var name: String?
        var path: String
        var tools: Int?
        /// One line, and under it what the server last wrote to its standard error.
        var reason: String?
    }

    private final class Parts {
        let endpoints: [StandaloneEndpoint]
        let router: StandaloneRouter
        var onCrash: ((String) -> Void)?

        init(_ endpoints: [StandaloneEndpoint], _ configuration: StandaloneConfiguration, _ log: @escaping (StandaloneLine) -> Void) {
            self.endpoints = endpoints
            router = StandaloneRouter(endpoints: endpoints, configuration: configuration, log: log)
        }
    }

    private let loop: any EventLoop
    private let parts: NIOLoopBound<Parts>

    /// On the loop.
    init(
        _ configuration: StandaloneConfiguration, reaper: Reaper, loop: any EventLoop, tap: (@Sendable (TappedLine) -> Void)? = nil,
        log: @escaping @Sendable (StandaloneLine) -> Void
    ) {
        self.loop = loop
        let endpoints = configuration.servers.map { server in
            let mask = SecretMask(values: server.secrets)
            let sessions = Sessions(
                eventLoop: loop, reaper: reaper, limits: configuration.limits, plan: { _ in server.plan(mask) },
                log: { log(StandaloneLine(engine: $0, server: server.name)) }, tracing: Self.tracing(configuration.trace, server.name, tap, log),
                showsErrors: true)
            return StandaloneEndpoint(server: server, sessions: sessions, configuration: configuration)
        }
        let parts = Parts(endpoints, configuration, log)
        for endpoint in endpoints {
            let mark = endpoint.name.map { "\($0): " } ?? ""
            // Daemons of ended sessions belong to nobody once no server runs.
            endpoint.sessions.onGone = { [weak parts] _ in
                if parts?.endpoints.allSatisfy({ $0.sessions.count == 0 }) == true { reaper.killOrphans { _ in } }
            }
            // What never started has not crashed: `start` tells of that.
            endpoint.sessions.onFailure = { [weak parts, weak endpoint] failure in
                if endpoint?.hasStarted == true { parts?.onCrash?(mark + failure.reason) }
            }
        }
        self.parts = NIOLoopBound(parts, eventLoop: loop)
    }

    private static func tracing(
        _ trace: StandaloneTrace, _ server: String?, _ tap: (@Sendable (TappedLine) -> Void)?,
        _ log: @escaping @Sendable (StandaloneLine) -> Void
    ) -> Tracer.Settings? {
        switch trace {
        case .off: tap.map { Tracer.Settings(bodies: false, tap: $0) { _ in } }
        case .messages: Tracer.Settings(bodies: false) { log(StandaloneLine(.trace, $0, server: server)) }
        case .bodies: Tracer.Settings(bodies: true) { log(StandaloneLine(.trace, $0, server: server)) }
        }
    }

    /// On the loop.
    var router: any ServerDelegate { parts.value.router }

    /// Starts the first child of every server and asks what it offers. They come up beside each other.
    func start() async -> [State] {
        let started = loop.makePromise(of: [State].self)
        loop.execute { [parts, loop] in
            let all = parts.value.endpoints.map { endpoint in
                let (name, path) = (endpoint.name, endpoint.path)
                return endpoint.countTools().map { State(name: name, path: path, tools: $0) }.recover { error in
                    State(name: name, path: path, reason: (error as? Undelivered)?.reason ?? "\(error)")
                }
            }
            EventLoopFuture.whenAllSucceed(all, on: loop).cascade(to: started)
        }
        return (try? await started.futureResult.get()) ?? []
    }

    /// From now on: the end of a server that had started, and why.
    func onCrash(_ told: @escaping @Sendable (String) -> Void) { loop.execute { [parts] in parts.value.onCrash = told } }

    /// The program of the server at `index` has changed.
    func renew(_ index: Int) { loop.execute { [parts] in parts.value.endpoints[index].sessions.renew() } }

    /// How every server's children fare.
    func reports() async -> [ChildReport] {
        (try? await loop.submit { [parts] in parts.value.endpoints.flatMap { $0.sessions.reports() } }.get()) ?? []
    }

    func closeStreams() async {
        _ = try? await loop.submit { [parts] in for endpoint in parts.value.endpoints { endpoint.closeAll() } }.get()
    }

    func shutdown() async {
        let ended = loop.makePromise(of: Void.self)
        loop.execute { [parts, loop] in
            let all = parts.value.endpoints.map { endpoint in
                let gone = loop.makePromise(of: Void.self)
                endpoint.sessions.shutdown { gone.succeed() }
                return gone.futureResult
            }
            EventLoopFuture.andAllComplete(all, on: loop).cascade(to: ended)
        }
        _ = try? await ended.futureResult.get()
    }
}
