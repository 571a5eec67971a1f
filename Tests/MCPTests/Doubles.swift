import JSONText
import MCP
import NIOCore
import NIOEmbedded

/// A service that records calls; the test answers them when it likes.
final class RecordingService: MCPService {
    final class Call: MCPCall {
        let request: MCPRequest
        let context: CallContext
        let sink: any MCPSink
        var cancels = 0
        var resumes = 0

        init(_ request: MCPRequest, _ context: CallContext, _ sink: any MCPSink) {
            (self.request, self.context, self.sink) = (request, context, sink)
        }

        func cancel() {
            cancels += 1
            sink.finish(.failed(Undelivered(.outcomeUnknown, "cancelled")))
        }
        func resume() { resumes += 1 }

        var params: JSONValue { (try? JSONValue(parsing: request.message.text))?["params"] ?? .null }
        func meta(_ key: String) -> JSONValue? { params["_meta"]?[key] }
    }

    let loop = EmbeddedEventLoop()
    var eventLoop: any EventLoop { loop }
    var calls: [Call] = []
    /// Runs before `call` returns, as a service that answers at once does.
    var atOnce: ((Call) -> Void)?

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        let call = Call(request, context, sink)
        calls.append(call)
        atOnce?(call)
        return call
    }
}

final class RecordingExchange: FrontExchange {
    var status: Int?
    var headers: [(String, String)] = []
    var body: String?
    var events: [String] = []
    var ids: [String?] = []
    var isOpen = false
    var isClosed = false
    var demand = Demand.more
    /// The client hangs up while it is sent so many.
    var leavesAfter = 0
    var onClientGone: (() -> Void)?
    var onResume: (() -> Void)?

    func reply(status: Int, headers: [(String, String)], body: ByteBuffer?) {
        guard self.status == nil else { return }
        (self.status, self.headers, self.body) = (status, headers, body?.text)
    }
    func openStream() {
        guard status == nil else { return }
        (status, isOpen) = (200, true)
    }
    func event(_ data: ByteBuffer, id: String?) -> Demand {
        if status == nil { openStream() }
        guard !isClosed else { return .more }
        events.append(data.text)
        ids.append(id)
        if events.count == leavesAfter {
            let gone = onClientGone
            (onClientGone, isClosed) = (nil, true)
            gone?()
        }
        return demand
    }
    func endpoint(_ uri: String) {
        if status == nil { openStream() }
        endpoint = uri
    }
    /// What the `endpoint` event said.
    var endpoint: String?
    func prime(id: String) {
        if status == nil { openStream() }
        primed = id
    }
    /// The id of the event without a message.
    var primed: String?
    func closeStream() { isClosed = true }

    func header(_ name: String) -> String? { headers.first { $0.0.lowercased() == name.lowercased() }?.1 }
    var json: JSONValue? { body.flatMap { try? JSONValue(parsing: $0) } }
    var lastEvent: JSONValue? { events.last.flatMap { try? JSONValue(parsing: $0) } }
    var errorCode: Int? { json?["error"]?["code"]?.intValue }
}

final class MemoryHost: FrontHost {
    var serverIdentity = ServerIdentity(
        serverInfo: ByteBuffer(string: #"{"name":"fake","version":"9"}"#), capabilities: ByteBuffer(string: #"{"tools":{"listChanged":true}}"#),
        instructions: ByteBuffer(string: #""say \"hi\"""#))
    var identityError: MCPError?
    var sessions: [String: (LegacySessionRecord, principal: String)] = [:]

    func identity(
        for caller: FrontCaller, version: String, declaring: ByteBuffer?, completion: @escaping (Result<ServerIdentity, MCPError>) -> Void
    ) {
        completion(identityError.map(Result.failure) ?? .success(serverIdentity))
    }
    func openSession(_ new: LegacySessionRecord, caller: FrontCaller, completion: @escaping (Result<String, MCPError>) -> Void) {
        let id = "session-\(sessions.count + 1)"
        sessions[id] = (new, caller.principal)
        completion(.success(id))
    }
    func session(id: String, caller: FrontCaller, completion: @escaping (LegacySessionRecord?) -> Void) {
        completion(sessions[id].flatMap { $0.principal == caller.principal ? $0.0 : nil })
    }
    func closeSession(id: String, caller: FrontCaller) { sessions[id] = nil }
    var parameterHeaders: [String: ParameterHeaders] = [:]
    func parameterHeaders(for caller: FrontCaller) -> [String: ParameterHeaders] { parameterHeaders }
    func context(for caller: FrontCaller, session: String?) -> CallContext {
        CallContext(session: SessionKey(id: session ?? "modern:\(caller.principal)"))
    }
}

/// A front with its doubles, and clients of both eras.
final class FrontBench {
    let service = RecordingService()
    let host = MemoryHost()
    let front: MCPFront

    init(_ settings: FrontSettings = FrontSettings()) {
        front = MCPFront(service: service, host: host, settings: settings)
    }

    static let meta = """
        {"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}},\
        "io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}}
        """

    func send(_ request: FrontRequest, principal: String = "ann") -> RecordingExchange {
        let exchange = RecordingExchange()
        front.handle(request, caller: FrontCaller(principal: principal, endpoint: "e"), exchange: exchange)
        return exchange
    }

    /// A correct modern POST; `change` spoils it.
    func modern(
        _ method: String, id: String = "1", params: String = "", meta: String = FrontBench.meta, name: String? = nil,
        change: (inout FrontRequest) -> Void = { _ in }
    )
        -> RecordingExchange
    {
        let members = (params.isEmpty ? "" : params + ",") + "\"_meta\":\(meta)"
        var request = FrontRequest(
            verb: .post, body: ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":{\#(members)}}"#))
        request.accept = "application/json, text/event-stream"
        request.contentType = "application/json"
        request.protocolVersion = "2026-07-28"
        request.mcpMethod = method
        request.mcpName = name
        change(&request)
        return send(request)
    }

    func legacyRequest(_ body: String, session: String?) -> FrontRequest {
        var request = FrontRequest(verb: .post, body: ByteBuffer(string: body))
        request.accept = "application/json, text/event-stream"
        request.contentType = "application/json; charset=utf-8"
        request.sessionID = session
        request.protocolVersion = session == nil ? nil : "2025-06-18"
        return request
    }

    func legacy(_ body: String, session: String?, principal: String = "ann") -> RecordingExchange {
        send(legacyRequest(body, session: session), principal: principal)
    }

    /// Initializes and answers the session's id.
    func open(version: String = "2025-06-18", capabilities: String = #"{"sampling":{},"x":{}}"#) -> String {
        let exchange = legacy(
            #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"\#(version)","capabilities":\#(capabilities),"clientInfo":{"name":"old","version":"2"}}}"#,
            session: nil)
        return exchange.header("Mcp-Session-Id") ?? ""
    }
}

extension ByteBuffer {
    var text: String { String(decoding: readableBytesView, as: UTF8.self) }
}
