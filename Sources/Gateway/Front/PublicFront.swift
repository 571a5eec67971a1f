import ControlSurface
import MCP
import NIOCore
import NIOHTTP1
import Sealing
import Wire

/// The door of the gateway on one loop: checks host and origin, serves MCP at `/v/{slug}/mcp` (and `/sse`), and hands everything
/// else to the control plane.
final class PublicFront: ServerDelegate {
    enum Listener: Equatable {
        case network
        case controlSocket
    }

    private static let controlBodyLimit = 1 << 20
    /// From here on a body is only read for a token that is valid.
    private static let unauthenticatedBodyLimit = 64 << 10

    private let path: LoopPath
    private let listener: Listener
    private let control: any ControlResponder

    init(path: LoopPath, listener: Listener, control: any ControlResponder) {
        self.path = path
        self.listener = listener
        self.control = control
    }

    // MARK: ServerDelegate

    func admit(_ head: HTTPRequestHead, peer: ServerPeer) -> Admission {
        let limit = head.uri.hasPrefix("/v/") ? nil : Self.controlBodyLimit
        guard listener == .network else { return .accept(bodyLimit: limit) }
        guard path.clientAddress.admits(peer: peer.address?.ipAddress) else { return .refuse(.notByProxy) }
        let length = head.headers.first(name: "content-length").flatMap { Int($0) }
        let isLong = length.map { $0 > Self.unauthenticatedBodyLimit } ?? head.headers.contains(name: "transfer-encoding")
        guard isLong else { return .accept(bodyLimit: limit) }
        if path.origins.check(hosts: head.headers["host"], origins: head.headers["origin"]) != nil { return .refuse(.origin) }
        switch authenticate(head.headers["authorization"], from: clientAddress(peer, head)) {
        case .admitted(_, let grant): return .accept(bodyLimit: limit, payer: grant.principal)
        case .refused(let refusal): return .refuse(refusal)
        }
    }

    func payer(of head: HTTPRequestHead, peer: ServerPeer) -> String {
        guard case .digest(let digest) = BearerToken(authorization: head.headers["authorization"], hash: path.hash) else { return "" }
        return path.directory.grant(digest, now: WallClock.milliseconds())?.principal ?? ""
    }

    func handle(_ exchange: ServerExchange) {
        // A web page can make a browser send here: a name that is not ours is another site's.
        if path.origins.check(hosts: exchange.headers("host"), origins: exchange.headers("origin")) != nil { return exchange.refuse(.origin) }
        switch exchange.path {
        case "/healthz": health(exchange, isReady: true, "alive")
        case "/readyz": health(exchange, isReady: path.directory.current.version > 0 && !path.log.isFailing, "ready")
        case let target where target.hasPrefix("/v/"): mcp(exchange, target)
        default: respond(exchange)
        }
    }

    private func health(_ exchange: ServerExchange, isReady: Bool, _ word: String) {
        guard exchange.head.method == .GET || exchange.head.method == .HEAD else { return exchange.refuse(.methodNotAllowed) }
        exchange.reply(
            status: isReady ? 200 : 503, headers: [("content-type", "application/json")],
            body: ByteBuffer(string: #"{"status":"\#(isReady ? word : "not_ready")"}"#))
    }

    // MARK: MCP

    private func mcp(_ exchange: ServerExchange, _ target: Substring) {
        let digest: TokenDigest
        let grant: Grant
        let client = clientAddress(exchange.peer, exchange.head)
        switch authenticate(exchange.headers("authorization"), from: client) {
        case .refused(let refusal): return exchange.refuse(refusal)
        case .admitted(let knownDigest, let knownGrant): (digest, grant) = (knownDigest, knownGrant)
        }
        exchange.trust(payer: grant.principal)
        let parts = target.split(separator: "/", omittingEmptySubsequences: false)
        let slug = parts.count == 4 && (parts[3] == "mcp" || parts[3] == "sse") ? String(parts[2]) : nil
        guard let slug, grant.scope == .virtualMCP(slug), let virtualMCP = path.directory.current.virtualMCPs[slug] else {
            denied(grant, slug: slug ?? String(target.dropFirst(3)), client)
            return exchange.refuse(.notFound)
        }
        guard let request = FrontRequest(
            method: exchange.method.rawValue, body: exchange.body, fields: exchange.head.headers, headers: exchange.headers)
        else {
            return exchange.refuse(.repeatedHeader)
        }
        let answer = PublicExchange(exchange, digest: digest, grant: grant, slug: slug, session: request.sessionID)
        guard path.add(answer) else { return exchange.refuse(.busy) }
        let caller = FrontCaller(
            principal: grant.principal, endpoint: slug, attachment: Admitted(grant: grant, virtualMCP: virtualMCP, clientAddress: client))
        guard parts[3] == "sse" else { return path.front.handle(request, caller: caller, exchange: answer) }
        path.oldFront.handle(
            request, query: exchange.query, endpoint: "/v/\(slug)/sse", caller: caller, exchange: answer)
    }

    private func clientAddress(_ peer: ServerPeer, _ head: HTTPRequestHead) -> String {
        path.clientAddress.of(peer: peer.address?.ipAddress, forwardedFor: head.headers["x-forwarded-for"])
    }

    private enum Authentication {
        case admitted(TokenDigest, Grant)
        case refused(Refusal)
    }

    private func authenticate(_ authorization: [String], from client: String) -> Authentication {
        switch BearerToken(authorization: authorization, hash: path.hash) {
        case .missing: return .refused(.tokenMissing)
        case .malformed: return refused("malformed token", client)
        case .digest(let digest):
            guard let grant = path.directory.grant(digest, now: WallClock.milliseconds()) else { return refused("unknown or expired token", client) }
            return .admitted(digest, grant)
        }
    }

    private func refused(_ reason: String, _ client: String) -> Authentication {
        if let reason = path.refusedTokens.admit(reason, second: WallClock.seconds()) {
            var row = AuditRow(method: "authenticate", outcome: .denied)
            row.clientAddress = client
            row.reason = reason
            _ = path.log.write(row)
        }
        return .refused(.tokenInvalid)
    }

    /// The row says more than the answer may.
    private func denied(_ grant: Grant, slug: String, _ client: String) {
        let reason = path.directory.current.virtualMCPs[slug] == nil ? "no such virtual MCP" : "the token is not for this virtual MCP"
        guard let reason = path.deniedAccess.admit(reason, second: WallClock.seconds()) else { return }
        var row = AuditRow(method: "access", outcome: .denied, principal: grant.principal)
        row.clientAddress = client
        row.tokenID = grant.tokenID
        row.virtualMCP = String(slug.prefix(64))
        row.reason = reason
        _ = path.log.write(row)
    }

    // MARK: Control

    private func respond(_ exchange: ServerExchange) {
        guard path.control.count < path.settings.controlRequests else { return exchange.refuse(.busy) }
        let peer = peer(exchange)
        if let payer = peer.payer { exchange.trust(payer: payer) }
        let request = ControlRequest(
            method: exchange.head.method.rawValue, uri: exchange.head.uri, headers: exchange.head.headers.map { (name: $0.name, value: $0.value) },
            body: exchange.body, peer: peer, clientAddress: clientAddress(exchange.peer, exchange.head))
        let bound = NIOLoopBound(path, eventLoop: path.eventLoop)
        let id = path.control.nextID()
        let writer = ExchangeWriter.answer(exchange) { [control] writer in
            await control.respond(to: request, writer: writer)
            await writer.abandon()
            bound.eventLoop.execute { bound.value.control.remove(id) }
        }
        path.control.add(id, writer, peer)
    }

    private func peer(_ exchange: ServerExchange) -> ControlPeer {
        if listener == .controlSocket, exchange.peer.uid == 0 { return .localRoot }
        guard case .digest(let digest) = BearerToken(authorization: exchange.headers("authorization"), hash: path.hash) else { return .bearer(nil) }
        return .bearer(path.directory.grant(digest, now: WallClock.milliseconds()))
    }
}

extension ControlPeer {
    /// Nil of a stranger.
    fileprivate var payer: String? {
        switch self {
        case .localRoot: "local:root"
        case .bearer(let grant): grant?.principal
        }
    }
}

extension Admission {
    fileprivate static func refuse(_ refusal: Refusal) -> Admission {
        .refuse(status: refusal.status, headers: refusal.headers, body: refusal.body)
    }
}
