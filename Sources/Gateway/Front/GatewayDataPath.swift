public import Logging
public import NIOCore
public import Wire
import Synchronization

/// The gateway's data path: listeners, one stack of services per loop, sessions and machines' doors. What it decides by
/// is published to it; what it does not know in memory it asks a ``DataPathSupport``.
///
/// ```swift
/// let path = try await GatewayDataPath.make(group: group, settings: settings, support: plane, control: api, journal: {…}, logger: logger)
/// path.publish(directory)
/// let port = try await path.listen(.tcp(host: "127.0.0.1", port: 8787))
/// ```
public final class GatewayDataPath: Sendable {
    struct Loop: Sendable {
        let eventLoop: any EventLoop
        let path: NIOLoopBound<LoopPath>

        func run(_ body: @escaping @Sendable (LoopPath) -> Void) {
            eventLoop.execute { body(path.value) }
        }
    }

    let loops: [Loop]
    private let group: any EventLoopGroup
    private let settings: DataPathSettings
    private let control: any ControlResponder
    private let servers = Mutex<[PublicServer]>([])

    private init(group: any EventLoopGroup, settings: DataPathSettings, control: any ControlResponder, loops: [Loop]) {
        self.group = group
        self.settings = settings
        self.control = control
        self.loops = loops
    }

    /// Builds one stack on every loop of `group`.
    ///
    /// - Parameter journal: called once per loop, on it; a chain of its own each.
    public static func make(
        group: any EventLoopGroup, settings: DataPathSettings, support: any DataPathSupport, control: any ControlResponder,
        journal: @escaping @Sendable (any EventLoop) throws -> AuditJournal, logger: Logger
    ) async throws -> GatewayDataPath {
        var loops: [Loop] = []
        for eventLoop in group.makeIterator() {
            let path = try await eventLoop.submit {
                NIOLoopBound(
                    try LoopPath(eventLoop: eventLoop, settings: settings, support: support, journal: journal(eventLoop), logger: logger),
                    eventLoop: eventLoop)
            }.get()
            loops.append(Loop(eventLoop: eventLoop, path: path))
        }
        for loop in loops {
            let others = loops.filter { $0.eventLoop !== loop.eventLoop }
            loop.run { path in path.hub.tellOthers = { id in for other in others { other.run { $0.hub.drop(id) } } } }
        }
        return GatewayDataPath(group: group, settings: settings, control: control, loops: loops)
    }

    // MARK: Listeners

    /// Opens a public listener.
    ///
    /// - Returns: Its port, when it has one.
    @discardableResult
    public func listen(_ address: ListenAddress) async throws -> Int? {
        try await bind(address, .network).port
    }

    /// Opens the control socket: whoever connects as root is ``ControlPeer/localRoot``.
    public func listenControl(_ address: ListenAddress) async throws {
        _ = try await bind(address, .controlSocket)
    }

    private func bind(_ address: ListenAddress, _ listener: PublicFront.Listener) async throws -> PublicServer {
        let loops = loops
        let control = control
        var limits = settings.server
        limits.sharedAddresses += settings.trustedProxies
        let server = try await PublicServer.bind(address, group: group, limits: limits) { eventLoop in
            // The server asks for the loops of the same group.
            let path = loops.first { $0.eventLoop === eventLoop }?.path.value
            return path.map { PublicFront(path: $0, listener: listener, control: control) } ?? NoFront()
        }
        servers.withLock { $0.append(server) }
        return server
    }

    // MARK: What the control plane says

    /// Hands a new directory to every loop. What it does not grant any more ends at once: calls, streams, sessions.
    public func publish(_ directory: Directory) {
        for loop in loops { loop.run { $0.publish(directory) } }
    }

    /// Ends the calls and streams of one token.
    public func endSessions(ofToken id: String) {
        for loop in loops { loop.run { $0.end(grants: { $0.tokenID == id }) } }
    }

    /// Ends the calls, streams and sessions of a principal.
    public func endSessions(ofPrincipal principal: String) {
        for loop in loops { loop.run { $0.end(grants: { $0.principal == principal }, owners: { $0.principal == principal }) } }
    }

    /// Ends the calls, streams and sessions of a virtual MCP.
    public func endSessions(ofVirtualMCP slug: String) {
        for loop in loops { loop.run { $0.end(grants: { $0.scope == .virtualMCP(slug) }, owners: { $0.slug == slug }) } }
    }

    /// Drops cached credentials and pins of a connector that was removed.
    public func forget(connector name: String) {
        for loop in loops { loop.run { $0.forget(connector: name) } }
    }

    /// Writes a row of the control plane's (an admin action, a sign-in) to the first loop's journal.
    ///
    /// - Throws: ``AuditError``; the row is not in the log then.
    public func append(_ row: AuditRow) async throws {
        let loop = loops[0]
        try await loop.eventLoop.submit { try loop.path.value.log.append(row) }.get()
    }

    /// Stops listening, ends streams in order and gives running calls up to five seconds; as long again has the work of
    /// control requests that nobody waits for any more, to clean up after itself and to write its row.
    public func shutdown() async {
        for loop in loops { loop.run { $0.shutdown() } }
        let servers = servers.withLock { servers in
            defer { servers = [] }
            return servers
        }
        for server in servers { await server.close(drain: .seconds(5)) }
        for loop in loops {
            let promise = loop.eventLoop.makePromise(of: Void.self)
            loop.run { $0.control.drained(within: .seconds(5), on: $0.eventLoop, promise) }
            // Nobody fails it.
            try? await promise.futureResult.get()
        }
        for loop in loops {
            loop.run { path in
                path.stack.hop.pool.shutdown()
                path.hub.tellOthers = { _ in }
            }
        }
    }
}

/// For a loop that is none of ours.
private final class NoFront: ServerDelegate {
    func handle(_ exchange: ServerExchange) { exchange.refuse(.busy) }
}
