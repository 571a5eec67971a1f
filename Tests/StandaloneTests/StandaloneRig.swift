import Glibc
import JSONText
import MCP
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Standalone
@testable import StdioBridge

/// The bridge's front on a port of this host, over one of the fixtures.
final class StandaloneRig: Sendable {
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    private static let reaper = try? Reaper()

    let server: PublicServer
    let client: HTTPClient
    let endpoint: Endpoint
    private let loop: any EventLoop
    private let sessions: NIOLoopBound<Sessions>
    private let told = Told()

    /// What the operator was told.
    private final class Told: Sendable {
        let lines = Mutex<[String]>([])

        func add(_ line: StandaloneLine) { lines.withLock { $0.append(line.message) } }
    }

    var lines: [String] { told.lines.withLock { $0 } }

    private init(
        _ fixture: String, _ environment: [String], _ limits: BridgeLimits, _ tokens: BearerTokens?,
        _ configure: @escaping @Sendable (inout StandaloneConfiguration) -> Void
    ) async throws {
        let reaper = try #require(Self.reaper)
        let loop = Self.group.next()
        self.loop = loop
        let plan = SpawnPlan(
            path: "/usr/bin/python3", arguments: ["python3", "-B", Repository.fixture(fixture)], environment: environment)
        let told = told
        let parts = try await loop.submit {
            let sessions = Sessions(eventLoop: loop, reaper: reaper, limits: limits, plan: { _ in .success(plan) }, log: { _ in })
            var settings = StandaloneConfiguration(servers: [], allowedOrigins: ["https://app.test"], tokens: tokens, limits: limits)
            configure(&settings)
            let server = StandaloneServer(name: "one", command: [], environment: [])
            let front = StandaloneRouter(
                endpoints: [
                    StandaloneEndpoint(server: StandaloneServer(command: [], environment: []), sessions: sessions, configuration: settings),
                    StandaloneEndpoint(server: server, sessions: sessions, configuration: settings),
                ], configuration: settings, log: { told.add($0) })
            return (NIOLoopBound(sessions, eventLoop: loop), NIOLoopBound(front, eventLoop: loop))
        }.get()
        sessions = parts.0
        server = try await PublicServer.bind(
            .tcp(host: "127.0.0.1", port: 0), group: loop, delegate: { _ in parts.1.value })
        endpoint = .tcp(host: "127.0.0.1", port: server.port ?? 0)
        client = HTTPClient(eventLoopGroup: Self.group)
    }

    func post(
        _ body: String, _ headers: [(String, String)] = [], path: String = "/mcp"
    ) async throws -> (status: Int, session: String?, body: String) {
        let all = [("accept", "application/json, text/event-stream"), ("content-type", "application/json")] + headers
        let response = try await client.execute("POST", path, headers: all, body: ByteBuffer(string: body), to: endpoint)
        return (response.status, response.headers["mcp-session-id"], String(buffer: try await response.collect(upTo: 1 << 20)))
    }

    func reports() async -> [ChildReport] { (try? await loop.submit { self.sessions.value.reports() }.get()) ?? [] }

    func end() async {
        await server.close(drain: .seconds(1))
        await client.shutdown()
        let done = loop.makePromise(of: Void.self)
        loop.execute { self.sessions.value.shutdown { done.succeed() } }
        _ = try? await done.futureResult.get()
    }

    /// Runs `body` against a front and ends everything afterwards.
    static func with(
        _ fixture: String = "fixture.py", environment: [String] = ["PATH=/usr/bin:/bin"], sharing: Sharing = .session, tokens: String? = nil,
        configure: @escaping @Sendable (inout StandaloneConfiguration) -> Void = { _ in }, _ body: (StandaloneRig) async throws -> Void
    ) async throws {
        var limits = BridgeLimits()
        limits.sharing = sharing
        let rig = try await StandaloneRig(
            fixture, environment, limits, try tokens.map { try BearerTokens(parsing: Array($0.utf8), file: "tokens") }, configure)
        do {
            try await body(rig)
        } catch {
            await rig.end()
            throw error
        }
        await rig.end()
    }

    /// The messages of an answer, whichever of the two forms it has.
    static func messages(_ body: String) throws -> [JSONValue] {
        guard !body.hasPrefix("{") else { return [try JSONValue(parsing: body)] }
        var reader = SSEReader()
        reader.feed(ByteBuffer(string: body))
        var all: [JSONValue] = []
        while let event = try reader.next() {
            // Without data it only says where to resume.
            if event.data.readableBytes > 0 { all.append(try JSONValue(parsing: Array(event.data.readableBytesView))) }
        }
        return all
    }

    /// Opens a session of a legacy client: the headers of its requests.
    func session(_ headers: [(String, String)] = [], path: String = "/mcp") async throws -> [(String, String)] {
        let opened = try await post(
            """
            {"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"elicitation":{}},\
            "clientInfo":{"name":"c","version":"1"}}}
            """, headers, path: path)
        return headers + [("mcp-session-id", try #require(opened.session)), ("mcp-protocol-version", "2025-06-18")]
    }
}
