import CLinux
public import JSONText
public import MCP
public import NIOCore
import NIOPosix
import RemoteClient
import StdioBridge
public import Wire

/// One server for code that waits: a command of this host through the bridge's own sessions, or a URL. Both eras, in the modern dialect.
public final class ServerConnection: Sendable {
    /// What the server said of itself.
    public struct Greeting: Sendable {
        public var identity: ServerIdentity
        public var era: Era?
        /// The revision that is spoken with it.
        public var version: String?
    }

    private enum Parts {
        case remote(RemoteServer)
        case local(Sessions)

        var service: any MCPService {
            switch self {
            case .remote(let server): server
            case .local(let sessions): sessions
            }
        }
    }

    private static let session = SessionKey(id: "terminal")

    private let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop
    private let parts: NIOLoopBound<Parts>
    private let reaper: Reaper?

    private init(_ group: MultiThreadedEventLoopGroup, _ loop: any EventLoop, _ parts: NIOLoopBound<Parts>, _ reaper: Reaper?) {
        self.group = group
        self.loop = loop
        self.parts = parts
        self.reaper = reaper
    }

    /// A server behind a URL; nothing is sent before the first call.
    ///
    /// - Parameters:
    ///   - security: for an `https` address.
    ///   - log: takes a line about the server, on the connection's thread; must not block.
    public static func open(
        _ address: RemoteAddress, token: String?, security: (any ClientSecurity)? = nil, log: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> ServerConnection {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let parts = try await loop.submit {
            let server = RemoteServer(address, token: token, security: security, eventLoop: loop)
            server.log = log
            return NIOLoopBound(Parts.remote(server), eventLoop: loop)
        }.get()
        return ServerConnection(group, loop, parts, nil)
    }

    /// A server that is started here; the process must have no other children.
    ///
    /// - Parameters:
    ///   - era: what is known of the server; `.auto` probes.
    ///   - log: gets what the server writes to its standard error, on any thread.
    public static func open(
        _ server: StandaloneServer, era: Back.EraChoice = .auto, log: @escaping @Sendable (String) -> Void
    ) async throws -> ServerConnection {
        _ = clinux_set_child_subreaper(1)
        let reaper = try Reaper(Reaper.Configuration(sweepsOrphans: true))
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let mask = SecretMask(values: server.secrets)
        let parts = try await loop.submit {
            var limits = BridgeLimits()
            limits.era = era
            let sessions = Sessions(eventLoop: loop, reaper: reaper, limits: limits, plan: { _ in server.plan(mask) }, log: { log($0) })
            return NIOLoopBound(Parts.local(sessions), eventLoop: loop)
        }.get()
        return ServerConnection(group, loop, parts, reaper)
    }

    /// One request. Cancelling the task cancels the call, whose outcome still comes.
    ///
    /// - Parameters:
    ///   - params: with the caller's declared capabilities in `_meta`.
    ///   - capabilities: the same, for a server that is told once.
    ///   - notified: one message of this call (progress, log), on the connection's thread.
    public func call(
        _ method: String, _ params: JSONObject, capabilities: ByteBuffer, notified: @escaping @Sendable (ByteBuffer) -> Void
    ) async -> MCPOutcome {
        let running = RunningCall(loop)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.execute { [parts] in
                    let client = ClientIdentity(info: ClientIdentity.berth.info, capabilities: capabilities)
                    let request = MCPRequest(method: method, params: params, client: client)
                    var context = CallContext(session: Self.session)
                    context.clientCapabilities = capabilities
                    running.start { parts.value.service.call(request, in: context, sink: WaitingSink(continuation, notified)) }
                }
            }
        } onCancel: {
            running.cancel()
        }
    }

    /// What the server said in its handshake. Cancelling the task ends the wait.
    public func greeting(capabilities: ByteBuffer) async -> Result<Greeting, Undelivered> {
        let wait = GreetingWait(loop)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.execute { [parts] in
                    wait.begin(continuation)
                    switch parts.value {
                    case .remote(let server):
                        server.identity(declaring: capabilities) { result in
                            wait.end(result.map { Greeting(identity: $0, era: server.era, version: server.version) })
                        }
                    case .local(let sessions):
                        sessions.identity(for: Self.session, declaring: capabilities) { result in
                            let child = sessions.reports().first
                            wait.end(result.map { Greeting(identity: $0, era: child?.era.flatMap(Era.init), version: child?.version) })
                        }
                    }
                }
            }
        } onCancel: {
            loop.execute { wait.end(.failure(Undelivered(.notDelivered, "the wait was cancelled"))) }
        }
    }

    /// The status of the last HTTP answer that was no MCP answer.
    public var lastStatus: Int? {
        get async {
            try? await loop.submit { [parts] in if case .remote(let server) = parts.value { server.lastStatus } else { nil } }.get()
        }
    }

    /// Ends the session, or the server and whatever it started.
    public func close() async {
        let ended = loop.makePromise(of: Void.self)
        loop.execute { [parts] in
            switch parts.value {
            case .remote(let server): server.close { ended.succeed() }
            case .local(let sessions): sessions.shutdown { ended.succeed() }
            }
        }
        _ = try? await ended.futureResult.get()
        if let reaper {
            _ = await reaper.killOrphans()
            reaper.stop()
        }
        try? await group.shutdownGracefully()
    }
}
