import JSONText
import MCP
import NIOCore
import NIOHTTP1
import StdioBridge
import Wire

/// The HTTP side of `berth bridge`: who may call, and which server a path is of. `/` lists them, `/healthz` and `/readyz` tell how they
/// fare. Confined to the loop.
final class StandaloneRouter: ServerDelegate {
    private let endpoints: [StandaloneEndpoint]
    private let origins: OriginPolicy
    private let tokens: BearerTokens?
    private let pages: StandaloneCORS
    private let log: (StandaloneLine) -> Void
    /// Names that were refused, once told of.
    private var toldOf: Set<String> = []

    init(endpoints: [StandaloneEndpoint], configuration: StandaloneConfiguration, log: @escaping (StandaloneLine) -> Void) {
        self.log = log
        self.endpoints = endpoints
        tokens = configuration.tokens
        pages = StandaloneCORS(configuration.allowedOrigins)
        // Whoever chose the address reaches the bridge by it.
        let host = configuration.host.contains(":") ? "[\(configuration.host)]" : configuration.host
        origins = OriginPolicy(allowedHosts: configuration.allowedHosts + [host], allowedOrigins: configuration.allowedOrigins)
    }

    /// Before a byte of the body is read.
    func admit(_ head: HTTPRequestHead, peer: ServerPeer) -> Admission {
        // A web page can make a browser send here: a name that is not ours is another site's.
        if let stranger = origins.check(hosts: head.headers["host"], origins: head.headers["origin"]) {
            return refusal(403, "forbidden_origin", "this host or origin is not allowed" + tell(stranger))
        }
        if let headers = pages.preflight(head) { return .refuse(status: 204, headers: headers, body: nil) }
        guard let principal = principal(of: head) else {
            let what = head.headers.contains(name: "authorization") ? "this bearer token is none of this server's" : "a bearer token is needed"
            return refusal(401, "unauthorized", what, [("www-authenticate", "Bearer")] + pages.headers(head))
        }
        return .accept(bodyLimit: nil, payer: principal)
    }

    /// What was refused, for its sender; the operator hears it once, with the option that would let it in.
    private func tell(_ refusal: OriginPolicy.Refusal) -> String {
        let (what, name, option): (String, String, String)
        switch refusal {
        case .missingHost: return ": no single host is named"
        case .host(let host): (what, name, option) = ("host", host, "--allow-host")
        case .origin(let origin): (what, name, option) = ("origin", origin, "--allow-origin")
        }
        let shown = String(name.prefix(128))
        if toldOf.count < 16, toldOf.insert(shown).inserted {
            log(StandaloneLine(.warning, "a request for the \(what) \(Printable.line(shown)) was refused: \(option) lets it in, if it is yours"))
        }
        return ": \(what) \(shown)"
    }

    func handle(_ exchange: ServerExchange) {
        switch exchange.path {
        case "/" where exchange.method == .GET || exchange.method == .HEAD: answer(exchange, 200, list)
        case "/": answer(exchange, 404, Self.problem("not_found", "MCP is served at \(endpoints.map(\.path).joined(separator: ", "))"))
        case "/healthz": answer(exchange, 200, .record(("status", "alive")))
        case "/readyz": ready(exchange)
        default: mcp(exchange)
        }
    }

    private func mcp(_ exchange: ServerExchange) {
        let path = exchange.path
        guard let endpoint = endpoints.first(where: { $0.serves(path) }) else {
            return answer(exchange, 404, Self.problem("not_found", "MCP is served at \(endpoints.map(\.path).joined(separator: ", "))"))
        }
        guard let request = FrontRequest(
            method: exchange.method.rawValue, body: exchange.body, fields: exchange.head.headers, headers: exchange.headers)
        else {
            return answer(exchange, 400, Self.problem("bad_request", "a header is there twice with different values"))
        }
        // Asked again, since the head is all that is known of its sender: a token of the request, not of the connection.
        let principal = principal(of: exchange.head) ?? ""
        if tokens != nil { exchange.trust(payer: principal) }
        let caller = FrontCaller(principal: principal, endpoint: endpoint.name ?? "")
        let answer = BridgeExchange(exchange, headers: pages.headers(exchange.head))
        endpoint.handle(request, path: path, query: exchange.query, caller: caller, exchange: answer)
    }

    private func principal(of head: HTTPRequestHead) -> String? {
        guard let tokens else { return Self.anybody }
        return tokens.principal(authorization: head.headers["authorization"])
    }

    /// The principal of whoever calls a bridge without tokens.
    static let anybody = "local"

    private var list: JSONValue {
        let rows = endpoints.map { endpoint in
            JSONValue.record(
                ("name", endpoint.name.map { .string($0) }), ("mcp", .string(endpoint.path)), ("sse", .string(endpoint.oldPath)))
        }
        return .record(("endpoints", .array(rows)))
    }

    /// Ready when every server is.
    private func ready(_ exchange: ServerExchange) {
        var (left, failed) = (endpoints.count, [String]())
        for endpoint in endpoints {
            endpoint.sessions.warm { [self] result in
                if case .failure = result { failed.append(endpoint.name ?? "the server") }
                left -= 1
                guard left == 0 else { return }
                guard failed.isEmpty else {
                    return answer(exchange, 503, Self.problem("not_ready", "no answer from " + failed.sorted().joined(separator: ", ")))
                }
                answer(exchange, 200, .record(("status", "ready")))
            }
        }
    }

    private func answer(_ exchange: ServerExchange, _ status: Int, _ body: JSONValue) {
        exchange.reply(status: status, headers: Self.json, body: ByteBuffer(bytes: body.serialized()))
    }

    private func refusal(_ status: Int, _ error: String, _ message: String, _ headers: [(String, String)] = []) -> Admission {
        .refuse(status: status, headers: Self.json + headers, body: ByteBuffer(bytes: Self.problem(error, message).serialized()))
    }

    private static let json = [("content-type", "application/json")]

    private static func problem(_ error: String, _ message: String) -> JSONValue {
        .record(("error", .string(error)), ("message", .string(message)))
    }
}

/// Wire's exchange as MCP's front wants it.
private final class BridgeExchange: FrontExchange {
    private let exchange: ServerExchange
    /// Of every answer.
    private let headers: [(String, String)]
    private var isOpen = false

    init(_ exchange: ServerExchange, headers: [(String, String)]) {
        self.exchange = exchange
        self.headers = headers
    }

    func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) {
        exchange.reply(status: status, headers: headers + self.headers, body: body)
    }

    func openStream() {
        if isOpen { return }
        isOpen = true
        exchange.openStream(headers: headers)
    }

    func event(_ data: ByteBuffer, id: String?) -> Demand {
        openStream()
        return exchange.event(data, id: id) ? .more : .pause
    }

    func prime(id: String) {
        openStream()
        exchange.prime(id: id)
    }

    func endpoint(_ uri: String) {
        openStream()
        exchange.event(ByteBuffer(string: uri), name: "endpoint")
    }

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
