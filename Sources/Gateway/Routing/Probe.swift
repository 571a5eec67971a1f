public import Door
public import NIOCore
import JSONText
import MCP
import Sealing
import Wire

/// What a probe found out about a server.
public struct ProbeResult: Sendable {
    /// A whole `tools/list` result; several pages are put together.
    public var toolsListResult: ByteBuffer
    /// JSON object, where the server says it.
    public var serverInfo: ByteBuffer?
    public var toolCount: Int
    public var seconds: Double
}

/// Why a probe found nothing.
public struct ProbeFailure: Error, Sendable, CustomStringConvertible {
    /// `start_failed` (the machine cannot be reached, or its server does not start), `timeout`, `refused` (the server
    /// answered an error) or `bad_answer` (its answer is no list of tools).
    public var error: String
    /// One line.
    public var message: String
    /// The end of what the server's process wrote to stderr, for admins only.
    public var stderr: String?

    public var description: String { message }
}

extension GatewayDataPath {
    private static let maximumPages = 50
    private static let maximumTools = 5_000

    /// Lists a server's tools across the private hop, with token and credentials as a call has them, in a session that
    /// ends with the probe.
    ///
    /// - Throws: ``ProbeFailure``.
    public func probe(
        _ address: MachineAddress, of connector: Connector, credentials: CredentialSet?, timeout: TimeAmount = .seconds(60)
    ) async throws -> ProbeResult {
        let clock = ContinuousClock()
        let begin = clock.now
        let session = "probe-\(ULID().description)"
        let deadline = NIODeadline.now() + timeout
        defer { loops[0].run { $0.stack.hop.endSession(session, principal: Self.prober, at: address, app: connector.app) } }
        var tools: [JSONValue] = []
        var serverInfo: ByteBuffer?
        var cursor: String?
        for page in 1... {
            guard page <= Self.maximumPages, tools.count <= Self.maximumTools else {
                throw ProbeFailure(error: "bad_answer", message: "the server lists more than \(Self.maximumTools) tools")
            }
            let params: JSONObject = cursor.map { ["cursor": .string($0)] } ?? [:]
            let outcome = await call(
                MCPRequest(method: "tools/list", params: params), session: session, at: address, connector, credentials, deadline: deadline)
            let result = try await object(outcome, address, connector)
            guard let listed = result["tools"]?.arrayValue else {
                throw ProbeFailure(error: "bad_answer", message: "the server's answer to tools/list has no array of tools")
            }
            tools += listed
            serverInfo = result["_meta"]?[MetaKey.serverInfo].map { ByteBuffer(bytes: $0.serialized()) } ?? serverInfo
            cursor = result["nextCursor"]?.stringValue
            if cursor == nil { break }
        }
        let whole = JSONValue.object(JSONObject([("resultType", .string("complete")), ("tools", .array(tools))]))
        let taken = (clock.now - begin).components
        return ProbeResult(
            toolsListResult: ByteBuffer(bytes: whole.serialized()), serverInfo: serverInfo, toolCount: tools.count,
            seconds: Double(taken.seconds) + Double(taken.attoseconds) / 1e18)
    }

    /// Asks any route of a machine's door.
    ///
    /// - Parameter field: a header of the route's own.
    /// - Throws: `ExchangeFailure`, or why no token can be minted.
    public func ask(
        _ route: DoorRoute, of address: MachineAddress, app: String, session: String = "", field: (name: String, value: String)? = nil,
        within limit: TimeAmount = .seconds(10)
    ) async throws -> (status: Int, body: ByteBuffer) {
        let loop = loops[0]
        return try await loop.eventLoop.flatSubmit {
            let hop = loop.path.value.stack.hop
            let promise = loop.eventLoop.makePromise(of: (status: Int, body: ByteBuffer).self)
            do {
                let door = try hop.doors.door(address, app: app)
                let head = try door.head(route, principal: Self.prober, session: session, length: 0, field: field)
                let reply = DoorReply { promise.completeWith($0.mapError { $0 as any Error }) }
                reply.start(hop.pool.request(to: door.endpoint, head: head.bytes, options: .init(method: route.method), handler: reply))
                loop.eventLoop.assumeIsolated().scheduleTask(in: limit) { reply.cancel() }
            } catch {
                promise.fail(error)
            }
            return promise.futureResult
        }.get()
    }

    static var prober: String { DoorPrincipal.prober }

    private func call(
        _ request: MCPRequest, session: String, at address: MachineAddress, _ connector: Connector, _ credentials: CredentialSet?,
        deadline: NIODeadline
    ) async -> MCPOutcome {
        let loop = loops[0]
        let future = loop.eventLoop.flatSubmit {
            let promise = loop.eventLoop.makePromise(of: MCPOutcome.self)
            let record = CallRecord(
                grant: Grant(tokenID: "", principal: Self.prober, scope: .admin, expiresAt: nil), virtualMCP: .none, session: session)
            record.connector = connector
            record.credentials = credentials
            record.pin = PinTable.Entry(
                pin: Pin(session: session, connector: connector.name, epoch: 0, machine: address.machine, boot: address.boot), address: address,
                generation: connector.generation)
            let context = CallContext(session: SessionKey(id: session, fingerprint: credentials?.fingerprint ?? ""), attachment: record)
            let sink = ProbeSink(promise)
            let call = loop.path.value.stack.hop.call(request, in: context, sink: sink)
            let timer = loop.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
                sink.isLate = true
                call.cancel()
            }
            promise.futureResult.assumeIsolated().whenComplete { _ in timer.cancel() }
            return promise.futureResult
        }
        do { return try await future.get() } catch { return .failed(Undelivered(.notDelivered, "the gateway is shutting down")) }
    }

    private func object(_ outcome: MCPOutcome, _ address: MachineAddress, _ connector: Connector) async throws -> JSONValue {
        switch outcome {
        case .result(let result):
            guard let value = try? JSONValue(parsing: result.readableBytesSpan), value.objectValue != nil else {
                throw ProbeFailure(error: "bad_answer", message: "the server's answer to tools/list cannot be read")
            }
            return value
        case .error(let error):
            throw ProbeFailure(error: "refused", message: "the server answered an error to tools/list: \(error.message.prefix(300))")
        case .failed(let undelivered):
            let isLate = undelivered.reason == ProbeSink.late
            let stderr = await lastStderr(address, connector)
            if isLate { throw ProbeFailure(error: "timeout", message: "the server did not answer in time", stderr: stderr) }
            throw ProbeFailure(error: "start_failed", message: undelivered.reason, stderr: stderr)
        }
    }

    private func lastStderr(_ address: MachineAddress, _ connector: Connector) async -> String? {
        guard let answer = try? await ask(.stats, of: address, app: connector.app), answer.status == 200,
            let stats = try? JSONValue(parsing: answer.body.readableBytesSpan),
            let text = stats["last_failure"]?["stderr"]?.stringValue, !text.isEmpty
        else { return nil }
        return text
    }
}

/// Turns the one outcome into a promise.
private final class ProbeSink: MCPSink {
    static let late = "no answer in time"

    private let promise: EventLoopPromise<MCPOutcome>
    var isLate = false

    init(_ promise: EventLoopPromise<MCPOutcome>) {
        self.promise = promise
    }

    func notification(_ message: ByteBuffer) -> Demand { .more }

    func finish(_ outcome: consuming MCPOutcome) {
        if isLate, case .failed(let undelivered) = outcome {
            promise.succeed(.failed(Undelivered(undelivered.kind, Self.late)))
        } else {
            promise.succeed(outcome)
        }
    }
}

extension VirtualMCP {
    /// Of a call that belongs to none.
    fileprivate static let none = VirtualMCP(
        slug: "", title: "", connectors: [], tools: [:], toolsListResult: ByteBuffer(), serverInfo: ByteBuffer(), capabilities: ByteBuffer(),
        instructions: nil)
}
