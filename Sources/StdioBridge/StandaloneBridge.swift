import CLinux
import Glibc
import JSONText
import MCP
import NIOCore
import NIOPosix
import Synchronization
import Wire

/// `berth bridge`: one STDIO server behind an HTTP endpoint, without gateway or machine.
public enum StandaloneBridge {
    /// Where a bridge serves, and how many tools.
    public struct Ready: Sendable {
        public var url: String
        public var port: Int
        public var tools: Int
    }

    /// Serves until SIGINT or SIGTERM and returns the exit status. Blocks the calling thread; the process must have no
    /// other children, since every orphan is reaped here.
    ///
    /// - Parameters:
    ///   - announce: hears once where it serves, when it does.
    ///   - log: gets lines for the operator, on any thread.
    public static func run(
        _ configuration: StandaloneConfiguration, log: @escaping @Sendable (String) -> Void = { write(line: $0, to: 2) },
        announce: @escaping @Sendable (Ready) -> Void
    ) -> Int32 {
        _ = clinux_set_child_subreaper(1)
        let stop = StopSignal()
        let reaper: Reaper
        do {
            reaper = try Reaper(Reaper.Configuration(sweepsOrphans: true, signals: [SIGINT, SIGTERM], onSignal: { _ in stop.signal() }))
        } catch {
            log("not started: \(error)")
            return 70
        }
        let done = StatusGate()
        // Detached: a task that wanted this thread would wait for it forever.
        Task.detached {
            let status = await serve(configuration, reaper: reaper, stop: stop, announce: announce, log: log)
            done.open(status)
        }
        return done.wait()
    }

    private static func serve(
        _ configuration: StandaloneConfiguration, reaper: Reaper, stop: StopSignal, announce: @Sendable (Ready) -> Void,
        log: @escaping @Sendable (String) -> Void
    ) async -> Int32 {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var status: Int32 = 0
        do {
            let core = try await start(configuration, reaper: reaper, loop: group.next(), log: log)
            do {
                let tools = try await core.countTools()
                let server = try await PublicServer.bind(
                    .tcp(host: configuration.host, port: configuration.port), group: group, delegate: { _ in core.front })
                let host = configuration.host.contains(":") ? "[\(configuration.host)]" : configuration.host
                let port = server.port ?? configuration.port
                announce(Ready(url: "http://\(host):\(port)/mcp", port: port, tools: tools))
                await stop.wait()
                await core.closeStreams()
                await server.close(drain: .seconds(2))
            } catch {
                log("not started: \(reason(error))")
                status = 1
            }
            await core.shutdown()
        } catch {
            log("not started: \(reason(error))")
            status = 1
        }
        await withCheckedContinuation { continuation in reaper.killOrphans { continuation.resume() } }
        reaper.stop()
        try? await group.shutdownGracefully()
        return status
    }

    private static func start(
        _ configuration: StandaloneConfiguration, reaper: Reaper, loop: any EventLoop, log: @escaping @Sendable (String) -> Void
    ) async throws -> BridgeCore {
        let path = configuration.environment.last { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? ""
        guard let program = configuration.command.first.flatMap({ ExecutablePath.find($0, path: String(path)) }) else {
            throw Undelivered(.notDelivered, "no such program: \(configuration.command.first ?? "")")
        }
        let plan = SpawnPlan(
            path: program, arguments: configuration.command, environment: configuration.environment, directory: configuration.directory)
        return try await loop.submit { BridgeCore(configuration, plan: plan, reaper: reaper, loop: loop, log: log) }.get()
    }

    private static func reason(_ error: any Error) -> String { (error as? Undelivered)?.reason ?? "\(error)" }

    /// One line at once, whatever the descriptor is.
    public static func write(line: String, to descriptor: Int32) {
        let bytes = Array((line + "\n").utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}

/// The loop-confined parts of a running bridge, as the serving task holds them.
private final class BridgeCore: Sendable {
    private let loop: any EventLoop
    private let parts: NIOLoopBound<(sessions: Sessions, front: StandaloneFront)>

    /// On the loop.
    init(
        _ configuration: StandaloneConfiguration, plan: SpawnPlan, reaper: Reaper, loop: any EventLoop, log: @escaping @Sendable (String) -> Void
    ) {
        self.loop = loop
        let sessions = Sessions(
            eventLoop: loop, reaper: reaper, limits: configuration.limits, plan: { _ in .success(plan) }, log: { log($0) })
        // Daemons of ended sessions belong to nobody once no server runs.
        sessions.onGone = { [weak sessions] _ in if sessions?.count == 0 { reaper.killOrphans {} } }
        parts = NIOLoopBound((sessions, StandaloneFront(sessions: sessions, configuration: configuration)), eventLoop: loop)
    }

    /// On the loop.
    var front: StandaloneFront { parts.value.front }

    /// Starts the first child and asks what it offers.
    func countTools() async throws -> Int {
        let answered = loop.makePromise(of: Int.self)
        loop.execute { [parts] in
            let sessions = parts.value.sessions
            sessions.warm { result in
                switch result {
                case .failure(let why):
                    let log = sessions.lastFailure?.stderr ?? ""
                    answered.fail(log.isEmpty ? why : Undelivered(why.kind, why.reason + "\n" + log))
                case .success: sessions.callSpare(MCPRequest(method: "tools/list"), sink: ToolCount(answered, seen: parts.value.front.learn))
                }
            }
        }
        return try await answered.futureResult.get()
    }

    func closeStreams() async {
        _ = try? await loop.submit { [parts] in parts.value.front.closeAll() }.get()
    }

    func shutdown() async {
        let ended = loop.makePromise(of: Void.self)
        loop.execute { [parts] in parts.value.sessions.shutdown { ended.succeed() } }
        _ = try? await ended.futureResult.get()
    }
}

/// Counts the tools of a first page; a server without tools has none.
private final class ToolCount: MCPSink {
    private let promise: EventLoopPromise<Int>
    private let seen: (ByteBuffer) -> Void

    init(_ promise: EventLoopPromise<Int>, seen: @escaping (ByteBuffer) -> Void) {
        self.promise = promise
        self.seen = seen
    }

    func notification(_ message: ByteBuffer) -> Demand { .more }

    func finish(_ outcome: consuming MCPOutcome) {
        switch outcome {
        case .result(let result):
            seen(result)
            let list = try? JSONValue(parsing: Array(result.readableBytesView))
            promise.succeed(list?["tools"]?.arrayValue?.count ?? 0)
        case .error: promise.succeed(0)
        case .failed(let why): promise.fail(why)
        }
    }
}

/// A signal that one task waits for.
private final class StopSignal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func signal() { continuation.finish() }

    func wait() async { for await _ in stream {} }
}

/// Hands a task's result to a thread that blocks for it.
private final class StatusGate: Sendable {
    private let reader: Int32
    private let writer: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        _ = clinux_pipe_cloexec(&ends)
        (reader, writer) = (ends[0], ends[1])
    }

    func open(_ status: Int32) {
        var byte = UInt8(truncatingIfNeeded: status)
        _ = Glibc.write(writer, &byte, 1)
    }

    func wait() -> Int32 {
        var byte: UInt8 = 70
        while read(reader, &byte, 1) < 0, errno == EINTR {}
        return Int32(byte)
    }
}
