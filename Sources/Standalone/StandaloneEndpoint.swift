import JSONText
import MCP
import NIOCore
import StdioBridge
import Wire

/// One server of a bridge as clients reach it: `/mcp` for both eras and `/sse` below its name, with sessions of its own.
/// Confined to the loop.
final class StandaloneEndpoint {
    let name: String?
    let sessions: Sessions
    private let prefix: String
    private let front: MCPFront
    private let oldFront: SSEFront
    private let host: MemorySessions
    private var sweep: RepeatedTask?
    /// It has told once what it offers.
    private(set) var hasStarted = false

    init(server: StandaloneServer, sessions: Sessions, configuration: StandaloneConfiguration) {
        name = server.name
        prefix = server.prefix
        self.sessions = sessions
        let host = MemorySessions(
            children: sessions, limit: configuration.sessions, idle: configuration.sessionIdle, age: configuration.sessionAge,
            sharing: configuration.limits.sharing, areSharedOut: configuration.tokens != nil)
        self.host = host
        let tools = ToolWatch(next: CallLimit(next: sessions, limit: configuration.callLimit)) { [weak host] in host?.learned($1, isFirstPage: $0) }
        let front = MCPFront(service: tools, host: host, settings: FrontSettings(sessionsHaveServers: true))
        self.front = front
        oldFront = SSEFront(front: front)
        host.inUse = { [weak front] in front?.sessionsInUse ?? [] }
        host.onEvicted = { [weak front] in front?.sessionEnded($0) }
        let swept = NIOLoopBound(host, eventLoop: sessions.eventLoop)
        sweep = sessions.eventLoop.scheduleRepeatedTask(initialDelay: .hours(1), delay: .hours(1)) { _ in swept.value.sweep() }
    }

    var path: String { prefix + "/mcp" }
    var oldPath: String { prefix + "/sse" }

    func serves(_ path: Substring) -> Bool { path.hasPrefix(prefix) && (path.dropFirst(prefix.count) == "/mcp" || path == oldPath) }

    /// One of its own paths.
    func handle(_ request: FrontRequest, path: Substring, query: Substring?, caller: FrontCaller, exchange: any FrontExchange) {
        guard path == oldPath else { return front.handle(request, caller: caller, exchange: exchange) }
        oldFront.handle(request, query: query, endpoint: oldPath, caller: caller, exchange: exchange)
    }

    /// Ends what is held open, so that a drain finds no stream.
    func closeAll() {
        sweep?.cancel()
        // Before the streams: theirs are among them, and carry the answers of calls.
        oldFront.closeAll()
        front.closeAll()
    }

    /// Starts the first child and asks what it offers; fails with why it did not start, and under it its last lines.
    func countTools() -> EventLoopFuture<Int> {
        let answered = sessions.eventLoop.makePromise(of: Int.self)
        sessions.warm { [sessions, host] result in
            switch result {
            case .failure(let why): answered.fail(why)
            case .success:
                // What the front learns of tools, it learns from the first list.
                let count = ToolCount(answered) { host.learned(ParameterHeaders.byTool($0), isFirstPage: true) }
                sessions.callSpare(MCPRequest(method: "tools/list"), sink: count)
            }
        }
        return answered.futureResult.assumeIsolated().map { [weak self] count in
            self?.hasStarted = true
            return count
        }.nonisolated()
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
