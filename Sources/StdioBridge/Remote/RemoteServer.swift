import JSONText
public import MCP
public import NIOCore
import Wire

/// A server behind a URL of streamable HTTP, of either era, as a service in the modern dialect. Confined to its event loop.
///
/// `MCP.Back` knows the protocol and thinks that it talks to a child; here its lines become HTTP requests and their answers its lines.
public final class RemoteServer: MCPService {
    public let eventLoop: any EventLoop
    let pool: ConnectionPool
    let address: RemoteAddress
    private let token: String?
    var back = RemoteServer.newBack()
    var calls: [CallID: RemoteCall] = [:]
    private var lastCall = 0
    private var identityWaiters: [(Result<ServerIdentity, Undelivered>) -> Void] = []
    private(set) var identity: ServerIdentity?
    private var hasStarted = false
    private var timers: [BackTimer: Scheduled<Void>] = [:]
    /// Requests on their way, by the id that they have there.
    var posts: [Int: RemotePost] = [:]
    /// Messages that nobody waits for.
    private var others: [ObjectIdentifier: RemotePost] = [:]
    /// The stream of what a legacy server says by itself.
    var stream: RemotePost?
    var streamTimer: Scheduled<Void>?
    var streamFailures = 0
    /// Lines behind `notifications/initialized`, which must arrive first; nil when nothing is held.
    private var held: [ByteBuffer]?
    private(set) var sessionID: String?
    private(set) var isClosed = false
    private var demand = Demand.more
    /// Arguments that are repeated in headers, by tool.
    private var parameterHeaders: [String: ParameterHeaders] = [:]
    /// The status of the last answer that was no MCP answer, for a hint.
    public private(set) var lastStatus: Int?

    /// - Parameter token: a bearer token.
    public init(_ address: RemoteAddress, token: String?, eventLoop: any EventLoop) {
        self.address = address
        self.token = token
        self.eventLoop = eventLoop
        pool = ConnectionPool(eventLoop: eventLoop)
    }

    private static func newBack() -> Back { Back(probeSeconds: 20) }

    public var era: Era? { back.era }
    /// The revision that is spoken with it.
    public var version: String? { back.version }

    // MARK: Calls

    public func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        let call = RemoteCall(request, sink: sink, server: self)
        guard !isClosed else {
            sink.finish(.failed(Undelivered(.notDelivered, "the connection is closed")))
            return EndedCall()
        }
        begin(declaring: context.clientCapabilities)
        send(call)
        return call
    }

    /// What the server said in its handshake.
    ///
    /// - Parameter capabilities: what this client can be asked, for a server that is told once.
    public func identity(declaring capabilities: ByteBuffer?, completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) {
        begin(declaring: capabilities)
        if let identity, back.isReady { return completion(.success(identity)) }
        identityWaiters.append(completion)
    }

    func send(_ call: RemoteCall) {
        lastCall += 1
        call.id = CallID(lastCall)
        calls[call.id] = call
        perform(back.send(call.request, call: call.id))
    }

    func cancel(_ call: RemoteCall) {
        guard calls[call.id] === call else { return }
        perform(back.cancel(call.id))
    }

    func resumeAll() { for post in posts.values { post.resume() } }

    private func begin(declaring capabilities: ByteBuffer?) {
        // A server of the handshake revisions knows only what its session was opened with.
        if hasStarted, !back.serves(capabilities), calls.isEmpty, back.suspendedCount == 0 { forgetSession() }
        guard !hasStarted else { return }
        hasStarted = true
        if let capabilities { back.declare(capabilities) }
        perform(back.start())
    }

    /// Ends the session; `completion` comes when the server has heard of it, or does not answer.
    public func close(_ completion: @escaping () -> Void) {
        guard !isClosed else { return completion() }
        giveUp(Undelivered(.outcomeUnknown, "the connection was closed"))
        isClosed = true
        guard let sessionID else {
            pool.shutdown()
            return completion()
        }
        var isDone = false
        let done = { [pool] in
            guard !isDone else { return }
            isDone = true
            pool.shutdown()
            completion()
        }
        let farewell = RemotePost(method: "DELETE", message: { _, _ in .more }, end: { _, _ in done() })
        let limit = NIOLoopBound((done, farewell), eventLoop: eventLoop)
        let timer = eventLoop.scheduleTask(in: .seconds(2)) {
            limit.value.1.cancel()
            limit.value.0()
        }
        farewell.started(request("DELETE", [("mcp-session-id", sessionID)] + versionHeader, body: nil, handler: farewell))
        _ = timer
    }

    // MARK: What the protocol asks for

    @discardableResult
    func perform(_ actions: [BackAction]) -> Demand {
        demand = .more
        for action in actions {
            switch action {
            case .write(let line): write(line)
            case .notify(let id, let message):
                if calls[id]?.sink.notification(message) == .pause { demand = .pause }
            case .finish(let id, let outcome): finish(id, outcome)
            case .ready(let identity, _): ready(identity)
            case .handshakeFailed(let reason): giveUp(Undelivered(.notDelivered, reason))
            case .armTimer(let timer, let seconds): arm(timer, seconds)
            case .disarmTimer(let timer): timers.removeValue(forKey: timer)?.cancel()
            case .restartLegacy, .noise, .broadcast: break
            }
        }
        return demand
    }

    private func ready(_ identity: ServerIdentity) {
        self.identity = identity
        let waiters = identityWaiters
        identityWaiters = []
        for waiter in waiters { waiter(.success(identity)) }
    }

    private func finish(_ id: CallID, _ outcome: MCPOutcome) {
        guard let call = calls.removeValue(forKey: id) else { return }
        switch outcome {
        case .result(let result) where call.request.method == "tools/list":
            parameterHeaders.merge(ParameterHeaders.byTool(result)) { $1 }
        case .error(let error) where error.code == MCPError.Code.headerMismatch && call.request.method == "tools/call" && !call.isRetried:
            // Which arguments it wants repeated in headers, only its list of tools tells.
            call.isRetried = true
            let list = RemoteCall(MCPRequest(method: "tools/list"), sink: RetrySink { [weak self] in self?.send(call) }, server: self)
            return send(list)
        default: break
        }
        call.sink.finish(outcome)
    }

    private func arm(_ timer: BackTimer, _ seconds: Int) {
        timers[timer]?.cancel()
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        timers[timer] = eventLoop.scheduleTask(in: .seconds(Int64(seconds))) {
            let server = bound.value
            server.timers[timer] = nil
            server.perform(server.back.timerFired(timer))
        }
    }

    /// No answer can come any more: everybody who waits is told, and the next call begins anew.
    func giveUp(_ why: Undelivered) {
        let (ending, waiters) = (calls, identityWaiters)
        let session = sessionID
        calls = [:]
        identityWaiters = []
        forgetSession()
        sessionID = session
        for waiter in waiters { waiter(.failure(why)) }
        for call in ending.values.sorted(by: { $0.id.rawValue < $1.id.rawValue }) { call.sink.finish(.failed(why)) }
    }

    private func forgetSession() {
        for timer in timers.values { timer.cancel() }
        timers = [:]
        for post in Array(posts.values) + Array(others.values) { post.cancel() }
        posts = [:]
        others = [:]
        stream?.cancel()
        stream = nil
        streamTimer?.cancel()
        streamTimer = nil
        held = nil
        hasStarted = false
        sessionID = nil
        back = Self.newBack()
    }

    /// The server does not know the session any more: another one, in which what it did not take is said again.
    private func sessionLost(by post: RemotePost) {
        let (ending, capabilities) = (calls, back.declared)
        let again = post.id.flatMap { id in back.caller(of: id) }.flatMap { ending[$0] }
        calls = [:]
        forgetSession()
        for call in ending.values where call !== again {
            call.sink.finish(.failed(Undelivered(.outcomeUnknown, "the server ended the session")))
        }
        guard let again else { return }
        guard !again.isRetried else { return again.sink.finish(.failed(Undelivered(.notDelivered, "the server ended the session"))) }
        again.isRetried = true
        begin(declaring: capabilities)
        send(again)
    }

    // MARK: Lines as requests

    private func write(_ line: ByteBuffer) {
        guard held == nil else {
            held?.append(line)
            return
        }
        guard let envelope = try? EnvelopeScanner.scan(line.readableBytesSpan) else { return }
        let id = envelope.kind == .request ? envelope.id.flatMap { Int(String(decoding: line.readableBytesSpan.copy($0), as: UTF8.self)) } : nil
        if envelope.method == "notifications/cancelled" {
            // Closing the stream is what the stateless revision knows as cancelling, and nothing else comes on it in the others.
            let cancelled = envelope.requestID.flatMap { Int(String(decoding: line.readableBytesSpan.copy($0), as: UTF8.self)) }
            cancelled.flatMap { posts.removeValue(forKey: $0) }?.cancel()
            if era == .modern { return }
        }
        let post = RemotePost(
            id: id, method: envelope.method ?? "", message: { [weak self] in self?.received($1, from: $0) ?? .more },
            end: { [weak self] in self?.ended($0, $1) })
        if let id { posts[id] = post } else { others[ObjectIdentifier(post)] = post }
        if envelope.method == "notifications/initialized" { held = [] }
        post.started(request("POST", headers(line, envelope), body: line, handler: post))
    }

    private func headers(_ line: ByteBuffer, _ envelope: Envelope) -> [(String, String)] {
        var headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]
        guard let version = envelope.protocolVersion, let method = envelope.method else {
            return headers + versionHeader + (sessionID.map { [("mcp-session-id", $0)] } ?? [])
        }
        headers += [("mcp-protocol-version", version), ("mcp-method", method)]
        if let name = envelope.name ?? envelope.uri ?? envelope.taskID, Self.named.contains(method) {
            headers.append(("mcp-name", HeaderValue.encode(name)))
        }
        if method == "tools/call", let rules = parameterHeaders[envelope.name ?? ""] {
            let arguments = envelope.arguments.map { ByteBuffer(bytes: line.readableBytesSpan.copy($0)) }
            headers += rules.headers(for: arguments)
        }
        return headers
    }

    private static let named: Set = ["tools/call", "prompts/get", "resources/read", "tasks/get", "tasks/update", "tasks/cancel"]

    var versionHeader: [(String, String)] { version.map { [("mcp-protocol-version", $0)] } ?? [] }

    func request(_ method: String, _ headers: [(String, String)], body: ByteBuffer?, handler: RemotePost) -> any Exchange {
        var head = ByteBuffer()
        head.writeRequestLine(method: method, target: address.path)
        head.writeField("host", address.authority)
        if let token { head.writeField("authorization", "Bearer \(token)") }
        for (name, value) in headers { head.writeField(name, value) }
        if let body { head.writeField("content-length", body.readableBytes) }
        head.writeHeadEnd()
        return pool.request(to: address.endpoint, head: head, body: body, options: ExchangeOptions(method: method), handler: handler)
    }

    func received(_ message: ByteBuffer, from post: RemotePost) -> Demand {
        if let envelope = try? EnvelopeScanner.scan(message.readableBytesSpan), envelope.kind == .response || envelope.kind == .errorResponse {
            post.isAnswered = true
            if post.method == "initialize", envelope.kind == .response { sessionID = post.sessionID }
        }
        return perform(back.received(line: message))
    }

    func ended(_ post: RemotePost, _ how: RemotePost.End) {
        if let id = post.id { posts[id] = nil } else { others[ObjectIdentifier(post)] = nil }
        if post.method == "notifications/initialized" {
            let lines = held ?? []
            held = nil
            for line in lines { write(line) }
            openStream()
        }
        let isOpening = !back.isReady
        switch how {
        case .complete:
            guard let id = post.id, !post.isAnswered, !resume(post, id: id) else { return }
            fail(id, Undelivered(.outcomeUnknown, "the server's stream ended without an answer"))
        case .failed(let why):
            if isOpening { return giveUp(Undelivered(.notDelivered, why.reason)) }
            if let id = post.id, !resume(post, id: id) { fail(id, why) }
        case .refused(let status, let body):
            if status == 404, sessionID != nil, post.method != "initialize", era == .legacy { return sessionLost(by: post) }
            guard let id = post.id else { return }
            let error = Self.error(in: body)
            if error == nil || status == 401 || status == 403 {
                lastStatus = status
                if isOpening, [401, 403, 407].contains(status) || (300..<400).contains(status) {
                    return giveUp(Undelivered(.notDelivered, Self.text(status, error)))
                }
            }
            guard error == nil else {
                perform(back.received(line: JSONRPC.error(id: ByteBuffer(string: String(id)), error ?? .internalError(""))))
                return
            }
            fail(id, Undelivered(status < 500 ? .notDelivered : .outcomeUnknown, Self.text(status, nil)))
        }
    }

    private func fail(_ id: Int, _ why: Undelivered) {
        perform(back.received(line: JSONRPC.error(id: ByteBuffer(string: String(id)), MCPError(why))))
    }

    private static func text(_ status: Int, _ error: MCPError?) -> String {
        "the server answered HTTP \(status)" + (error.map { ": \($0.message)" } ?? "")
    }

    private static func error(in body: ByteBuffer) -> MCPError? {
        guard let value = try? JSONValue(parsing: body.readableBytesSpan), let error = value["error"], let code = error["code"]?.intValue else { return nil }
        let data = error["data"].map { ByteBuffer(bytes: $0.serialized()) }
        return MCPError(code: code, message: error["message"]?.stringValue ?? "no reason given", data: data)
    }
}

/// A call to a remote server, as its caller holds it.
final class RemoteCall: MCPCall {
    var id = CallID(0)
    let request: MCPRequest
    let sink: any MCPSink
    var isRetried = false
    private weak var server: RemoteServer?

    init(_ request: MCPRequest, sink: any MCPSink, server: RemoteServer) {
        self.request = request
        self.sink = sink
        self.server = server
    }

    func cancel() { server?.cancel(self) }
    func resume() { server?.resumeAll() }
}

/// What comes after a request of our own, whatever its answer.
private final class RetrySink: MCPSink {
    private let then: () -> Void

    init(_ then: @escaping () -> Void) { self.then = then }

    func notification(_ message: ByteBuffer) -> Demand { .more }
    func finish(_ outcome: consuming MCPOutcome) { then() }
}
