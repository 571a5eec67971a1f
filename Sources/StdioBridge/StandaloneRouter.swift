import MCP
import NIOCore
import NIOHTTP1
import Wire

/// The HTTP side of `berth bridge`: `/mcp` for both eras, `/healthz`, `/readyz`. Confined to the loop.
final class StandaloneFront: ServerDelegate {
    private let front: MCPFront
    private let oldFront: SSEFront
    private let sessions: Sessions
    private let host: MemorySessions
    private let origins: OriginPolicy
    private let caller = FrontCaller(principal: "local", endpoint: "")

    init(sessions: Sessions, configuration: StandaloneConfiguration) {
        self.sessions = sessions
        let host = MemorySessions(children: sessions, limit: configuration.sessions, sharing: configuration.limits.sharing)
        self.host = host
        let tools = ToolWatch(next: sessions) { [weak host] in host?.learned($1, isFirstPage: $0) }
        let front = MCPFront(service: tools, host: host)
        self.front = front
        oldFront = SSEFront(front: front)
        host.onEvicted = { [weak front] in front?.sessionEnded($0) }
        origins = OriginPolicy(allowedHosts: configuration.allowedHosts, allowedOrigins: configuration.allowedOrigins)
    }

    func handle(_ exchange: ServerExchange) {
        // A web page can make a browser send here: a name that is not ours is another site's.
        if origins.check(hosts: exchange.headers("host"), origins: exchange.headers("origin")) != nil {
            return answer(exchange, 403, #"{"error":"forbidden_origin","message":"this host or origin is not allowed"}"#)
        }
        switch exchange.path {
        case "/mcp", "/sse": mcp(exchange)
        case "/healthz": answer(exchange, 200, #"{"status":"alive"}"#)
        case "/readyz": ready(exchange)
        default: answer(exchange, 404, #"{"error":"not_found","message":"MCP is served at /mcp, and at /sse for clients of 2024-11-05"}"#)
        }
    }

    /// What the server offered when the bridge started.
    func learn(tools result: ByteBuffer) { host.learned(ParameterHeaders.byTool(result), isFirstPage: true) }

    /// Ends what is held open, so that a drain finds no stream.
    func closeAll() {
        front.closeAll()
        oldFront.closeAll()
    }

    private func mcp(_ exchange: ServerExchange) {
        guard let request = FrontRequest(method: exchange.method.rawValue, body: exchange.body, headers: exchange.headers) else {
            return answer(exchange, 400, #"{"error":"bad_request","message":"a header is there twice with different values"}"#)
        }
        let answer = BridgeExchange(exchange)
        guard exchange.path == "/sse" else { return front.handle(request, caller: caller, exchange: answer) }
        oldFront.handle(request, query: exchange.query, endpoint: "/sse", caller: caller, exchange: answer)
    }

    private func ready(_ exchange: ServerExchange) {
        sessions.warm { [self] result in
            switch result {
            case .success: answer(exchange, 200, #"{"status":"ready"}"#)
            case .failure: answer(exchange, 503, #"{"error":"not_ready","message":"the server does not answer"}"#)
            }
        }
    }

    private func answer(_ exchange: ServerExchange, _ status: Int, _ body: String) {
        exchange.reply(status: status, headers: [("content-type", "application/json")], body: ByteBuffer(string: body))
    }
}

/// Wire's exchange as MCP's front wants it.
private final class BridgeExchange: FrontExchange {
    private let exchange: ServerExchange

    init(_ exchange: ServerExchange) {
        self.exchange = exchange
    }

    func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) { exchange.reply(status: status, headers: headers, body: body) }
    func openStream() { exchange.openStream() }
    func event(_ data: ByteBuffer, id: String?) -> Demand { exchange.event(data, id: id) ? .more : .pause }
    func prime(id: String) { exchange.prime(id: id) }
    func endpoint(_ uri: String) { exchange.event(ByteBuffer(string: uri), name: "endpoint") }
    func closeStream() { exchange.closeStream() }
    var onClientGone: (() -> Void)? {
        get { exchange.onClientGone }
        set { exchange.onClientGone = newValue }
    }
    var onResume: (() -> Void)? {
        get { exchange.onResume }
        set { exchange.onResume = newValue }
    }
}
