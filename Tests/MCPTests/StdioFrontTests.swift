import JSONText
import MCP
import NIOCore
import NIOEmbedded
import Testing

/// A STDIO server's half, with a service that answers at once.
@Suite struct StdioFrontTests {
    /// Answers every call with its method, at once or when told to.
    private final class Service: MCPService {
        let eventLoop: any EventLoop
        var waiting: [any MCPSink] = []
        var cancelled = 0
        var answersAtOnce = true

        init(_ loop: any EventLoop) { eventLoop = loop }

        func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
            if answersAtOnce {
                sink.finish(.result(ByteBuffer(string: "{\"method\":\n\"\(request.method)\"}")))
            } else {
                waiting.append(sink)
            }
            return Call(self, sink)
        }

        private final class Call: MCPCall {
            let service: Service
            let sink: any MCPSink

            init(_ service: Service, _ sink: any MCPSink) { (self.service, self.sink) = (service, sink) }

            func cancel() {
                guard let index = service.waiting.firstIndex(where: { $0 === sink }) else { return }
                service.waiting.remove(at: index)
                service.cancelled += 1
                sink.finish(.failed(Undelivered(.outcomeUnknown, "cancelled")))
            }
            func resume() {}
        }
    }

    private final class Host: FrontHost {
        var record: LegacySessionRecord?
        var isSlow = false
        var pending: [() -> Void] = []

        func identity(
            for caller: FrontCaller, version: String, declaring: ByteBuffer?, completion: @escaping (Result<ServerIdentity, MCPError>) -> Void
        ) {
            let answer = { completion(.success(ServerIdentity(serverInfo: ByteBuffer(string: #"{"name":"s","version":"1"}"#)))) }
            if isSlow { pending.append(answer) } else { answer() }
        }
        func openSession(_ new: LegacySessionRecord, caller: FrontCaller, completion: @escaping (Result<String, MCPError>) -> Void) {
            record = new
            completion(.success("one"))
        }
        func session(id: String, caller: FrontCaller, completion: @escaping (LegacySessionRecord?) -> Void) { completion(record) }
        func closeSession(id: String, caller: FrontCaller) { record = nil }
        func parameterHeaders(for caller: FrontCaller) -> [String: ParameterHeaders] { [:] }
        func context(for caller: FrontCaller, session: String?) -> CallContext { CallContext(session: SessionKey(id: "one")) }
    }

    private final class Rig {
        let service = Service(EmbeddedEventLoop())
        let host = Host()
        var lines: [String] = []
        var declared: [String] = []
        lazy var front = StdioFront(front: MCPFront(service: service, host: host)) { [unowned self] line in
            lines.append(String(buffer: line))
            return .more
        }

        func says(_ line: String) {
            front.onDeclared = { [unowned self] in declared.append(String(buffer: $0)) }
            front.received(line: ByteBuffer(string: line))
        }
    }

    private static let initialize =
        #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"roots":{}}}}"#
    private static let modernMeta =
        #""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#

    @Test func theHandshakeOpensASessionForTheLinesBehindIt() {
        let rig = Rig()
        rig.host.isSlow = true
        rig.says(Self.initialize)
        rig.says(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        rig.says(#"{"jsonrpc":"2.0","id":"a","method":"prompts/list"}"#)
        #expect(rig.lines.isEmpty && rig.declared == [#"{"roots":{}}"#])
        var idle = 0
        rig.front.onIdle = { idle += 1 }
        rig.front.inputEnded()
        #expect(idle == 0)
        for answer in rig.host.pending { answer() }
        #expect(rig.lines.count == 2 && rig.lines[0].contains(#""protocolVersion":"2025-06-18""#), "\(rig.lines)")
        #expect(rig.lines[1] == "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{\"method\": \"prompts/list\"}}\n", "\(rig.lines)")
        #expect(idle > 0)
        rig.front.end()
        #expect(rig.host.record == nil)
    }

    @Test func aModernRequestNeedsNoHandshake() {
        let rig = Rig()
        rig.says(#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t\#u{e9}",\#(Self.modernMeta)}}"#)
        #expect(rig.lines.count == 1 && rig.lines[0].hasPrefix(#"{"jsonrpc":"2.0","id":7,"result":{"#), "\(rig.lines)")
        #expect(rig.declared == ["{}"])
    }

    @Test func aModernCancellationEndsItsCallAndAnswersNothing() {
        let rig = Rig()
        rig.service.answersAtOnce = false
        rig.says(#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t",\#(Self.modernMeta)}}"#)
        #expect(rig.front.callsInFlight == 1)
        rig.says(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7"}}"#)
        #expect(rig.service.cancelled == 0, "a string is another id")
        rig.says(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#)
        #expect(rig.service.cancelled == 1 && rig.lines.isEmpty && rig.front.callsInFlight == 0)
    }

    @Test func whatIsNoMessageIsAnsweredOnce() {
        let rig = Rig()
        for line in ["  ", "no", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", "[]"] { rig.says(line) }
        #expect(rig.lines.count == 3 && rig.lines[0].contains("-32700") && rig.lines.allSatisfy { $0.contains("\"error\"") }, "\(rig.lines)")
    }
}
