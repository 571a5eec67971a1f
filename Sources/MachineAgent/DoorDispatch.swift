import Door
import JSONText
import MCP
import NIOCore
import StdioBridge
import Wire

/// What each route of the door does with a verified request.
struct DoorDispatch {
    let server: DoorServer
    let claims: HostedToken.Claims
    let head: RequestHead
    let body: ByteBuffer
    let exchange: DoorExchange

    func run(_ route: DoorRoute) {
        switch route {
        case .mcp: call()
        case .credentials: putCredentials()
        case .keys: putKeys()
        case .sessions: exchange.reply(200, server.sessionsJSON)
        case .endSession(let sid): endSession(sid)
        case .drain: drain()
        case .health: exchange.reply(200, .object(JSONObject([("status", .string("alive"))])))
        case .ready: ready()
        case .stats: exchange.reply(200, server.statsJSON)
        case .calls: exchange.reply(200, server.calls.json)
        }
    }

    // MARK: Calls

    private func call() {
        if server.takesNoCalls { return exchange.reply(503, error: DoorErrorCode.draining, "the machine is draining") }
        guard let key = sessionKey() else { return }
        let request: MCPRequest
        do throws(MCPError) {
            request = try MCPRequest(message: body)
        } catch {
            return exchange.reply(400, Array(JSONRPC.error(id: nil, error).readableBytesView))
        }
        // A list changes nothing: it is asked of the child that the first session takes over, which then is up already.
        let isProbe = claims.principal == DoorPrincipal.prober && key.fingerprint.isEmpty && request.method.hasSuffix("/list")
        exchange.id = request.id
        // The call that a wait is for has its entry, and the gateway no row for the wait.
        let entry = request.isWait ? nil : server.calls.add(claims: claims, method: request.method, tool: request.name)
        server.callBegan()
        exchange.onOutcome = { [server] state in
            server.callEnded()
            if let entry { server.calls.end(entry, state) }
            server.answered += 1
        }
        let delivered = { [server] in if let entry { server.calls.deliver(entry) } }
        if isProbe { return exchange.started(server.sessions.probe(request, sink: exchange, onDelivery: delivered)) }
        let context = CallContext(
            session: key, clientCapabilities: request.envelope.clientCapabilities.map(request.slice),
            clientEra: head.fields[DoorHeaders.clientEra] == Era.legacy.rawValue ? .legacy : .modern)
        exchange.started(server.sessions.call(request, in: context, sink: exchange, onDelivery: delivered))
    }

    /// The child this request belongs to; answers by itself when there is none.
    private func sessionKey() -> SessionKey? {
        let fingerprints = head.fields.values(of: DoorHeaders.credentials)
        guard fingerprints.count <= 1 else {
            exchange.reply(400, error: "bad_request", "\(DoorHeaders.credentials) is there twice")
            return nil
        }
        guard let key = server.key(claims, fingerprint: fingerprints.first ?? "") else {
            exchange.reply(403, error: "session_principal", "the session is another principal's")
            return nil
        }
        guard server.holds(key, claims) else {
            exchange.reply(409, error: DoorErrorCode.credentialsNeeded, "put the credentials of this fingerprint first")
            return nil
        }
        return key
    }

    // MARK: Credentials and keys

    private func putCredentials() {
        switch server.open(Array(body.readableBytesView), claims: claims) {
        case .failure:
            exchange.reply(400, error: DoorErrorCode.badCredentials, "the credentials did not open")
        case .success(let set):
            guard let key = server.key(claims, fingerprint: set.fingerprint) else {
                return exchange.reply(403, error: "session_principal", "the session is another principal's")
            }
            server.plans.vault.put(set, session: key, principal: claims.principal)
            exchange.reply(200, .object(JSONObject([("fingerprint", .string(set.fingerprint))])))
        }
    }

    private func putKeys() {
        guard server.takeKeys(Array(body.readableBytesView), claims: claims) else {
            return exchange.reply(400, error: "bad_keys", "the keys did not open")
        }
        exchange.reply(200, .object(JSONObject([("accepted", .bool(true))])))
    }

    // MARK: Life

    private func endSession(_ sid: String) {
        server.sessions.end(session: sid) { [exchange] found in
            if found {
                exchange.reply(200, .object(JSONObject([("ended", .bool(true))])))
            } else {
                exchange.reply(404, error: "not_found", "no such session")
            }
        }
    }

    /// One that is to drain only if it is idle decides here, where calls come too: none can fall between.
    private func drain() {
        if let text = head.fields[DoorHeaders.ifIdle] {
            guard let wanted = Int(text), wanted >= 0 else {
                return exchange.reply(400, error: "bad_request", "\(DoorHeaders.ifIdle) is no number of milliseconds")
            }
            guard server.takesNoCalls || server.idleMilliseconds.map({ $0 >= wanted }) ?? false else {
                return exchange.reply(409, error: DoorErrorCode.inUse, "the machine is in use")
            }
            server.closeForNow()
            return drains()
        }
        server.sessions.drain { [log = server.log] in log(.info, "drained") }
        drains()
    }

    private func drains() {
        exchange.reply(202, .object(JSONObject([("draining", .bool(true)), ("children", .number(String(server.sessions.count)))])))
    }

    /// Ready = a child has answered the handshake. With a fingerprint it is that session's child, for servers that do not
    /// start without credentials.
    private func ready() {
        let completion: (Result<ServerIdentity, Undelivered>) -> Void = { [exchange] result in
            switch result {
            case .success(let identity):
                let info = (try? JSONValue(parsing: Array(identity.serverInfo.readableBytesView))) ?? .null
                exchange.reply(200, .object(JSONObject([("status", .string("ready")), ("server", info)])))
            case .failure(let why):
                exchange.reply(503, error: "not_ready", why.reason)
            }
        }
        if !head.fields.contains(DoorHeaders.credentials) { return server.sessions.ready(completion) }
        guard let key = sessionKey() else { return }
        server.sessions.ready(for: key, completion)
    }
}
