import ControlSurface
import Door
import Foundation
import Gateway
import JSONText
import Logging
import NIOCore
import NIOPosix
import Sealing
import TestSupport
import Wire

/// A gateway's data path on real sockets with one machine, and everything around it in memory.
///
/// Tokens: `alice` opens `office`, `bob` opens `other`, `root` is an admin's, `old` has expired.
final class DataPathFixture: Sendable {
    static let org = "01JORG00000000000000000000"
    static let tools = ["asks", "gives_up", "echo", "slow", "progress", "fails", "error", "dies", "unstarted", "garbage", "other", "big"]

    let directory: String
    let group: MultiThreadedEventLoopGroup
    let support: FakeSupport
    let door: DataPathDoor
    let path: GatewayDataPath
    let port: Int
    let client: HTTPClient
    let rows: Locked<[AuditRow]>
    let control: EchoControl
    private let versions = Locked(1)

    private init(
        directory: String, group: MultiThreadedEventLoopGroup, support: FakeSupport, door: DataPathDoor, path: GatewayDataPath, port: Int,
        rows: Locked<[AuditRow]>, control: EchoControl
    ) {
        self.directory = directory
        self.group = group
        self.support = support
        self.door = door
        self.path = path
        self.port = port
        self.rows = rows
        self.control = control
        client = HTTPClient(eventLoopGroup: group)
    }

    /// Runs `body` with a fixture and takes everything down after it.
    static func with(
        _ settings: DataPathSettings = DataPathSettings(org: org), secretNames: [String] = [], segmentSize: Int = 16 << 20, loops: Int = 1,
        _ body: (DataPathFixture) async throws -> Void
    ) async throws {
        // Short: a socket's path has 108 bytes.
        let directory = "/tmp/bdp-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
        let root = try AppRoot.derive(master: Secret([UInt8](repeating: 7, count: 32)), org: org, app: "app-time")
        let door = try await DataPathDoor.start(directory: directory, group: group, root: root, org: org, machine: "0123456789abcd", boot: "boot1")
        let support = FakeSupport(root: root)
        support.state.withLockedValue { $0.machines["time"] = door.address }
        var settings = settings
        settings.sweepInterval = .milliseconds(50)
        let rows = Locked<[AuditRow]>([])
        let chains = Locked(0)
        let control = EchoControl()
        let path = try await GatewayDataPath.make(
            group: group, settings: settings, support: support, control: control,
            journal: { _ in
                let chain = chains.withLockedValue { number in
                    defer { number += 1 }
                    return "l\(number)"
                }
                return try AuditJournal(directory: directory + "/audit", chain: chain, segmentSize: segmentSize) { new in
                    rows.withLockedValue { $0 += new }
                }
            }, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        path.publish(try Self.directory(secretNames: secretNames))
        let port = try await path.listen(.tcp(host: "127.0.0.1", port: 0)) ?? 0
        let fixture = DataPathFixture(
            directory: directory, group: group, support: support, door: door, path: path, port: port, rows: rows, control: control)
        let result: Result<Void, any Error>
        do { result = .success(try await body(fixture)) } catch { result = .failure(error) }
        await fixture.client.shutdown()
        await path.shutdown()
        await door.stop()
        try await group.shutdownGracefully()
        try result.get()
    }

    static func settings(_ change: (inout DataPathSettings) -> Void) -> DataPathSettings {
        var settings = DataPathSettings(org: org)
        change(&settings)
        return settings
    }

    /// - Parameter expiring: when the tokens `alice` and `root` do.
    static func directory(
        version: Int = 1, without missing: Set<String> = [], expiring: Int64? = nil, secretNames: [String] = [],
        generation: Int = 1, floor: Int? = nil, renamed: String = "echo"
    ) throws -> Directory {
        var connector = Connector(
            name: "time", app: "app-time", machineConfig: MachineTemplate(image: "i", command: [], environment: [:]), secretNames: secretNames,
            generation: generation)
        if let floor { connector.floor = floor }
        var tools: [String: ExposedTool] = [:]
        for tool in Self.tools { tools[tool] = ExposedTool(connector: "time", original: tool) }
        tools["time__renamed"] = ExposedTool(connector: "time", original: "echo")
        func virtual(_ slug: String) -> VirtualMCP {
            VirtualMCP(
                slug: slug, title: slug, connectors: ["time"], tools: tools,
                toolsListResult: ByteBuffer(
                    string: #"{"resultType":"complete","tools":[{"name":"\#(renamed)","inputSchema":{}}],"ttlMs":0,"cacheScope":"private"}"#),
                serverInfo: ByteBuffer(string: #"{"name":"\#(slug)","version":"1"}"#), capabilities: ByteBuffer(string: #"{"tools":{}}"#),
                instructions: "Be \"kind\".")
        }
        var grants: [TokenDigest: Grant] = [:]
        func grant(_ token: String, _ principal: String, _ scope: Grant.Scope, _ expiresAt: Int64? = nil) throws {
            guard !missing.contains(token) else { return }
            grants[TokenDigest(try SHA256.digest(Array(token.utf8)))] = Grant(
                tokenID: "id-\(token)", principal: principal, scope: scope, expiresAt: expiresAt)
        }
        try grant("alice", "alice@example.org", .virtualMCP("office"), expiring)
        try grant("alice2", "alice@example.org", .virtualMCP("office"))
        try grant("bob", "bob@example.org", .virtualMCP("other"))
        try grant("carol", "carol@example.org", .virtualMCP("office"))
        try grant("root", "admin", .admin, expiring)
        try grant("root2", "admin", .admin)
        try grant("old", "alice@example.org", .virtualMCP("office"), 1_000)
        return Directory(
            grants: grants, virtualMCPs: ["office": virtual("office"), "other": virtual("other")], connectors: ["time": connector], version: version)
    }

    func publish(
        without missing: Set<String> = [], expiring: Int64? = nil, secretNames: [String] = [], generation: Int = 1, floor: Int? = nil, renamed: String = "echo"
    ) throws {
        let version = versions.withLockedValue { version in
            version += 1
            return version
        }
        path.publish(
            try Self.directory(
                version: version, without: missing, expiring: expiring, secretNames: secretNames, generation: generation, floor: floor, renamed: renamed))
    }

    // MARK: Requests

    struct Answer: Sendable {
        var status: Int
        var headers: [String]
        var text: String
        var session: String?
        /// The JSON-RPC message: the body, or the last event of a stream.
        var json: JSONValue {
            if text.hasPrefix("{") || text.hasPrefix("[") { return (try? JSONValue(parsing: text)) ?? .null }
            let last = text.split(separator: "\n").last { $0.hasPrefix("data: ") }
            return last.flatMap { try? JSONValue(parsing: String($0.dropFirst(6))) } ?? .null
        }
        var result: JSONValue? { json["result"] }
        var errorCode: Int? { json["error"]?["code"]?.intValue }
        var message: String? { json["error"]?["message"]?.stringValue }
        var content: String? { result?["content"]?[0]?["text"]?.stringValue }
    }

    func send(
        _ method: String, _ target: String, token: String? = "alice", headers: [(String, String)] = [], body: String? = nil
    ) async throws -> Answer {
        let response = try await open(method, target, token: token, headers: headers, body: body)
        let text = String(buffer: try await response.body.collect(upTo: 8 << 20))
        return Answer(
            status: response.status, headers: response.headers.map { "\($0.name): \($0.value)" }, text: text,
            session: response.headers["mcp-session-id"])
    }

    func open(
        _ method: String, _ target: String, token: String? = "alice", headers: [(String, String)] = [], body: String? = nil
    ) async throws -> (status: Int, headers: HTTPFields, body: HTTPClientResponse) {
        var all = headers
        if let token { all.append(("authorization", "Bearer \(token)")) }
        if body != nil, !all.contains(where: { $0.0 == "content-type" }) { all.append(("content-type", "application/json")) }
        if !all.contains(where: { $0.0 == "accept" }) { all.append(("accept", "application/json, text/event-stream")) }
        let response = try await client.execute(
            method, target, headers: all, body: body.map { ByteBuffer(string: $0) }, to: .tcp(host: "127.0.0.1", port: port))
        return (response.status, response.headers, response)
    }

    static func modern(_ method: String, _ params: String = "", id: String = "1", meta: String = "") -> String {
        let said = #""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}"#
        let meta = #""_meta":{\#(said)\#(meta)}"#
        return #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":{\#(params)\#(params.isEmpty ? "" : ",")\#(meta)}}"#
    }

    /// A modern client's call of a tool.
    func call(
        _ tool: String, token: String = "alice", slug: String = "office", arguments: String = "{}", id: String = "1", meta: String = ""
    ) async throws -> Answer {
        try await send(
            "POST", "/v/\(slug)/mcp", token: token, headers: Self.modernHeaders("tools/call", name: tool),
            body: Self.modern("tools/call", #""name":"\#(tool)","arguments":\#(arguments)"#, id: id, meta: meta))
    }

    static func modernHeaders(_ method: String, name: String? = nil) -> [(String, String)] {
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)] + (name.map { [("mcp-name", $0)] } ?? [])
    }

    func initialize(token: String = "alice", slug: String = "office", name: String = "t") async throws -> Answer {
        let params = #"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"\#(name)","version":"1"}}"#
        return try await send(
            "POST", "/v/\(slug)/mcp", token: token, body: #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":\#(params)}"#)
    }

    func legacyCall(_ tool: String, session: String, token: String = "alice", slug: String = "office", id: String = "5") async throws -> Answer {
        try await send(
            "POST", "/v/\(slug)/mcp", token: token, headers: [("mcp-session-id", session), ("mcp-protocol-version", "2025-11-25")],
            body: #"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"\#(tool)","arguments":{}}}"#)
    }

    // MARK: Looks

    func calls() -> [AuditRow] { rows.withLockedValue { $0.filter { $0.method == "tools/call" } } }
    func all(_ method: String) -> [AuditRow] { rows.withLockedValue { $0.filter { $0.method == method } } }
    func boot(_ boot: String, machine: String = "0123456789abcd", keysOf: String? = nil) async throws -> DataPathDoor {
        try await DataPathDoor.start(
            directory: directory, group: group, root: support.root, org: Self.org, machine: machine, boot: boot, keysOf: keysOf)
    }
}

/// Answers what it was asked.
struct EchoControl: ControlResponder {
    let following = Locked(0)
    /// What a follower does when it was told to end.
    let cleanUp = Locked<@Sendable () async -> Void>({})

    func respond(to request: ControlRequest, writer: ExchangeWriter) async {
        let peer =
            switch request.peer {
            case .localRoot: "root"
            case .bearer(let grant): "bearer \(grant?.tokenID ?? "-")"
            }
        switch request.uri.prefix(while: { $0 != "?" }) {
        case "/api/lines":
            await writer.open(status: 200, headers: [("content-type", "application/x-ndjson")])
            for number in 1...3 { try? await writer.write(ByteBuffer(string: "{\"n\":\(number)}\n")) }
            await writer.finish()
        case "/api/silent": return
        case "/api/follow":
            await writer.open(status: 200, headers: [("content-type", "application/x-ndjson")])
            following.withLockedValue { $0 += 1 }
            // A body that goes on by itself until it is told to end.
            while (try? await Task.sleep(for: .milliseconds(10))) != nil, (try? await writer.write(ByteBuffer(string: "{}\n"))) != nil {}
            // The clean-up is not cancelled with what it cleans up after.
            await Task { [cleanUp] in
                try? await Task.sleep(for: .milliseconds(200))
                await cleanUp.withLockedValue { $0 }()
            }.value
            await writer.finish()
        case "/api/half":
            await writer.open(status: 200, headers: [("content-type", "application/x-ndjson")])
            try? await writer.write(ByteBuffer(string: "{}\n"))
        default:
            await writer.reply(
                status: 200, headers: [("content-type", "text/plain")],
                body: ByteBuffer(string: "\(request.method) \(request.uri) \(peer) \(String(buffer: request.body))"))
        }
    }
}
