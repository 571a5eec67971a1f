import JSONText
import MCP
import NIOCore
import Standalone
import Synchronization

/// A client of one era, to whom the bridge is a server.
protocol Caller: Sendable {
    func request(_ method: String, _ params: JSONObject) async -> Reply
}

extension Caller {
    /// All pages of a list: the reply that failed, or the items.
    func list(_ method: String, _ member: String) async -> (reply: Reply, items: [JSONValue]) {
        var items: [JSONValue] = []
        var params = JSONObject()
        for _ in 0..<1_000 {
            let reply = await request(method, params)
            guard let page = reply.value else { return (reply, items) }
            items += page[member]?.arrayValue ?? []
            guard let cursor = page["nextCursor"], !cursor.isNull, cursor != params["cursor"] else { return (reply, items) }
            params["cursor"] = cursor
        }
        return (.broken("the list has no end"), items)
    }
}

/// A client of the handshake revisions.
struct LegacyCaller: Caller {
    static let version = ProtocolVersion.latestLegacy

    let http: BridgeHTTP
    let session: String

    /// - Returns: the client, unless the handshake failed; and what the server answered.
    static func open(_ http: BridgeHTTP) async -> (caller: LegacyCaller?, reply: Reply) {
        let params: JSONObject = [
            "protocolVersion": .string(version), "capabilities": [:], "clientInfo": ["name": "berth test", "version": "1"],
        ]
        let hello = JSONValue.record(("jsonrpc", "2.0"), ("id", 1), ("method", "initialize"), ("params", .object(params)))
        let (reply, session) = await http.post(hello, headers: [])
        guard reply.value != nil else { return (nil, reply) }
        guard let session else { return (nil, .broken("the bridge opened no session")) }
        let caller = LegacyCaller(http: http, session: session)
        _ = await http.post(.record(("jsonrpc", "2.0"), ("method", "notifications/initialized")), headers: caller.headers)
        return (caller, reply)
    }

    /// Every request has the same id, as those of careless clients do.
    func request(_ method: String, _ params: JSONObject) async -> Reply {
        let message = JSONValue.record(("jsonrpc", "2.0"), ("id", 1), ("method", .string(method)), ("params", .object(params)))
        return await http.post(message, headers: headers).reply
    }

    func end() async { await http.delete(session: session) }

    private var headers: [(String, String)] { [("mcp-session-id", session), ("mcp-protocol-version", Self.version)] }
}

/// A client of the stateless revision.
final class ModernCaller: Caller {
    static let version = ProtocolVersion.modern
    /// The session that the bridge gives to all clients of this revision.
    static let session = ObservedBridge.statelessSession

    private let http: BridgeHTTP
    /// Arguments that are repeated in headers, by tool.
    private let repeated = Mutex<[String: ParameterHeaders]>([:])

    init(_ http: BridgeHTTP) {
        self.http = http
    }

    func learn(_ tools: [JSONValue]) {
        let headers = ParameterHeaders.byTool(ByteBuffer(bytes: JSONValue.record(("tools", .array(tools))).serialized()))
        repeated.withLock { $0 = headers }
    }

    func request(_ method: String, _ params: JSONObject) async -> Reply {
        var params = params
        params["_meta"] = [
            MetaKey.protocolVersion: .string(Self.version), MetaKey.clientCapabilities: [:],
            MetaKey.clientInfo: ["name": "berth test", "version": "1"],
        ]
        var headers = [("mcp-protocol-version", Self.version), ("mcp-method", method)]
        if let name = (params["name"] ?? params["uri"])?.stringValue {
            headers.append(("mcp-name", HeaderValue.encode(name)))
            let arguments = params["arguments"].map { ByteBuffer(bytes: $0.serialized()) }
            headers += repeated.withLock { $0[name] }?.headers(for: arguments) ?? []
        }
        let message = JSONValue.record(("jsonrpc", "2.0"), ("id", "1"), ("method", .string(method)), ("params", .object(params)))
        return await http.post(message, headers: headers).reply
    }
}
