import Glibc
import JSONText
import MCP
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import StdioBridge

/// How a call ended, in a form that crosses threads.
enum Reply: Sendable, Equatable {
    case result(JSONValue)
    case error(Int, String)
    case failed(Undelivered.Kind, String)

    /// The text of a tool's answer.
    var text: String? {
        if case .result(let value) = self { value["content"]?[0]?["text"]?.stringValue } else { nil }
    }

    var meta: JSONValue? { if case .result(let value) = self { value["_meta"] } else { nil } }

    /// That text as JSON.
    var json: JSONValue? { text.flatMap { try? JSONValue(parsing: $0) } }

    var failure: (kind: Undelivered.Kind, reason: String)? {
        if case .failed(let kind, let reason) = self { (kind, reason) } else { nil }
    }
}

/// A call that runs: collects what its sink gets.
final class Pending: MCPSink, @unchecked Sendable {
    // Sendable by this lock, and `call` by the loop it is only touched on.
    private let state = Mutex<(notifications: [String], reply: Reply?)>(([], nil))
    private let loop: any EventLoop
    private let demand: Demand
    /// Asks for a pause after each message, and goes on a moment later.
    private let isUnsteady: Bool
    var call: (any MCPCall)?

    init(loop: any EventLoop, demand: Demand = .more, isUnsteady: Bool = false) {
        self.loop = loop
        self.demand = isUnsteady ? .pause : demand
        self.isUnsteady = isUnsteady
    }

    func notification(_ message: ByteBuffer) -> Demand {
        state.withLock { $0.notifications.append(String(buffer: message)) }
        if isUnsteady { loop.execute { self.call?.resume() } }
        return demand
    }

    func finish(_ outcome: consuming MCPOutcome) {
        let reply: Reply =
            switch outcome {
            case .result(let result): .result((try? JSONValue(parsing: Array(result.readableBytesView))) ?? .null)
            case .error(let error): .error(error.code, error.message)
            case .failed(let why): .failed(why.kind, why.reason)
            }
        state.withLock { state in
            if state.reply != nil { Issue.record("finished twice") }
            state.reply = reply
        }
    }

    var notifications: [String] { state.withLock { $0.notifications } }
    var isDone: Bool { state.withLock { $0.reply != nil } }

    func cancel() { loop.execute { self.call?.cancel() } }

    func reply(within seconds: Double = 120) async -> Reply {
        await eventually("a reply", within: seconds) { self.isDone }
        return state.withLock { $0.reply } ?? .failed(.outcomeUnknown, "no reply within the test's deadline")
    }
}

/// A bridge over one of the fixtures.
final class Rig: Sendable {
    static let fixtures = #filePath.split(separator: "/").dropLast(2).reduce("") { $0 + "/" + $1 } + "/Fixtures/"
    static let python = "/usr/bin/python3"
    /// Many: on a loop of two, a flood of one test would keep every other's sockets unread for seconds.
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 32)
    static let reaper = try? Reaper()

    let loop: any EventLoop
    private let sessions: NIOLoopBound<Sessions>
    private let lines = Mutex<[String]>([])

    private init(loop: any EventLoop, _ limits: BridgeLimits, plan: SpawnPlan, reaper: Reaper, traces: Bool, showsErrors: Bool) {
        self.loop = loop
        let box = NIOLoopBoundBox<((String) -> Void)?>(nil, eventLoop: loop)
        sessions = NIOLoopBound(
            Sessions(
                eventLoop: loop, reaper: reaper, limits: limits, plan: { _ in .success(plan) }, log: { box.value?($0) },
                tracing: traces ? Tracer.Settings(bodies: false) { box.value?($0) } : nil, showsErrors: showsErrors), eventLoop: loop)
        box.value = { [weak self] line in self?.lines.withLock { $0.append(line) } }
    }

    /// Runs `body` against a bridge and ends every child afterwards.
    static func with(
        _ fixture: String = "fixture.py", arguments: [String] = [], environment: [String] = ["PATH=/usr/bin:/bin"], mask: [String] = [],
        afterwards: SpawnPlan.Afterwards? = nil, traces: Bool = false, showsErrors: Bool = false,
        limits: (inout BridgeLimits) -> Void = { _ in },
        body: (Rig) async throws -> Void
    ) async throws {
        let reaper = try #require(reaper)
        var bounds = BridgeLimits()
        limits(&bounds)
        let plan = SpawnPlan(
            path: python, arguments: ["python3", "-B", fixtures + fixture] + arguments, environment: environment, mask: SecretMask(values: mask),
            afterwards: afterwards)
        let loop = group.next()
        let rig = try await loop.submit { [bounds] in
            Rig(loop: loop, bounds, plan: plan, reaper: reaper, traces: traces, showsErrors: showsErrors)
        }.get()
        do {
            try await body(rig)
        } catch {
            await rig.shutdown()
            throw error
        }
        await rig.shutdown()
    }

    func on<T: Sendable>(_ body: @escaping @Sendable (Sessions) -> T) async -> T? {
        try? await loop.submit { body(self.sessions.value) }.get()
    }

    func start(
        _ tool: String, _ arguments: String = "{}", session: String = "s", fingerprint: String = "", owner: String = "",
        progress: Bool = false, demand: Demand = .more, deadline: TimeAmount? = nil, capabilities: String = "{}", more: String = "",
        client: Era = .modern
    ) -> Pending {
        let token = progress ? #","progressToken":"mine""# : ""
        return send(
            """
            {"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"\(tool)","arguments":\(arguments)\(more),"_meta":{\
            "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":\(capabilities),\
            "io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}\(token)}}}
            """, session: session, fingerprint: fingerprint, owner: owner, demand: demand, deadline: deadline, client: client)
    }

    func send(
        _ message: String, session: String = "s", fingerprint: String = "", owner: String = "", demand: Demand = .more,
        isUnsteady: Bool = false, deadline: TimeAmount? = nil, client: Era = .modern
    ) -> Pending {
        let pending = Pending(loop: loop, demand: demand, isUnsteady: isUnsteady)
        loop.execute {
            do {
                let request = try MCPRequest(message: ByteBuffer(string: message))
                let context = CallContext(
                    session: SessionKey(id: session, fingerprint: fingerprint, owner: owner), deadline: deadline.map { .now() + $0 },
                    clientCapabilities: request.envelope.clientCapabilities.map(request.slice), clientEra: client)
                pending.call = self.sessions.value.call(request, in: context, sink: pending)
            } catch {
                Issue.record("\(error)")
            }
        }
        return pending
    }

    func call(_ tool: String, _ arguments: String = "{}", session: String = "s", fingerprint: String = "", owner: String = "") async -> Reply {
        await start(tool, arguments, session: session, fingerprint: fingerprint, owner: owner).reply()
    }

    var log: [String] { lines.withLock { $0 } }

    /// Looks at the sessions from their own loop every millisecond from now on, and keeps the first thing it finds.
    ///
    /// For a state that passes: a test that asks for it from outside can be scheduled too late to see it.
    func watch<T: Sendable>(_ find: @escaping @Sendable (Sessions) -> T?) -> Sighting<T> {
        let sighting = Sighting<T>()
        loop.execute { [sessions] in
            self.loop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(1)) { task in
                if sighting.isOver { return task.cancel() }
                if let found = find(sessions.value) {
                    sighting.saw(found)
                    task.cancel()
                }
            }
        }
        return sighting
    }

    /// Whether the child of a session is not read from.
    static func pausedReading(_ session: String) -> @Sendable (Sessions) -> Bool? {
        { $0.children[SessionKey(id: session)]?.readingPaused == true ? true : nil }
    }

    /// - Returns: the process that was spoken to, as of when it had answered; nil if it did not.
    func warm() async throws -> pid_t? {
        let warmed = loop.makePromise(of: pid_t?.self)
        _ = await on { sessions in
            sessions.warm { result in warmed.succeed((try? result.get()).flatMap { _ in sessions.sparePID }) }
        }
        return try await warmed.futureResult.get()
    }

    /// - Returns: the name of the server, as a client that says hello is told; why it is not told.
    func told(_ client: Era, _ capabilities: String = "{}") async -> String? {
        let told = loop.makePromise(of: String?.self)
        _ = await on { sessions in
            sessions.warm(for: client, declaring: ByteBuffer(string: capabilities)) { result in
                switch result {
                case .success(let identity): told.succeed((try? JSONValue(parsing: String(buffer: identity.serverInfo)))?["name"]?.stringValue)
                case .failure(let why): told.succeed(why.reason)
                }
            }
        }
        return try? await told.futureResult.get()
    }

    /// Calls of a session that its process has still to answer.
    func inFlight(_ session: String) async -> Int? { await on { $0.children[SessionKey(id: session)]?.back.callsInFlight } ?? nil }

    func reports() async -> [ChildReport] { await on { $0.reports() } ?? [] }

    func end(_ session: String) async -> Bool {
        let promise = loop.makePromise(of: Bool.self)
        loop.execute { self.sessions.value.end(session: session) { promise.succeed($0) } }
        return (try? await promise.futureResult.get()) ?? false
    }

    func shutdown() async {
        let promise = loop.makePromise(of: Void.self)
        loop.execute { self.sessions.value.shutdown { promise.succeed() } }
        _ = try? await promise.futureResult.get()
    }
}

/// What a watcher saw; the watcher ends with it.
final class Sighting<T: Sendable>: Sendable {
    private let state = Mutex<(found: T?, isOver: Bool)>((nil, false))

    var found: T? { state.withLock { $0.found } }
    var isOver: Bool { state.withLock { $0.isOver } }

    func saw(_ value: T) { state.withLock { $0.found = value } }
    func end() { state.withLock { $0.isOver = true } }
}

func isAlive(_ pid: Int) -> Bool {
    guard kill(pid_t(pid), 0) == 0 else { return false }
    // A zombie that nobody reaped yet is dead.
    let descriptor = open("/proc/\(pid)/stat", O_RDONLY)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 512)
    let text = String(decoding: bytes.prefix(max(0, read(descriptor, &bytes, bytes.count))), as: UTF8.self)
    return !text.contains(") Z ") && !text.isEmpty
}
