import JSONText
import MCP
import NIOCore
import NIOEmbedded
import Sealing
import Testing

@testable import Gateway

/// What a server gives its client to bring back, between two people who would like each other's.
@Suite("requestState")
struct InputStateTests {
    /// Asks, and answers with what it was given to bring back.
    private final class Server: MCPService {
        let eventLoop: any EventLoop = EmbeddedEventLoop()
        var state = #""own \"state\"""#
        var seen: [String?] = []
        var isReachable = true

        func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
            seen.append(request.requestState)
            guard isReachable else {
                sink.finish(.failed(Undelivered(.notDelivered, "no machine")))
                return EndedCall()
            }
            let asking = #"{"inputRequests":{"k":{"method":"elicitation/create","params":{}}},"resultType":"input_required","requestState":\#(state)}"#
            sink.finish(.result(ByteBuffer(string: request.requestState == nil ? asking : #"{"content":[],"resultType":"complete"}"#)))
            return EndedCall()
        }
    }

    private final class Sink: MCPSink {
        var outcome: JSONValue?
        func notification(_ message: ByteBuffer) -> Demand { .more }
        func finish(_ outcome: consuming MCPOutcome) {
            switch outcome {
            case .result(let result): self.outcome = try? JSONValue(parsing: Array(result.readableBytesView))
            case .error(let error): self.outcome = ["code": .number("\(error.code)")]
            case .failed(let why): self.outcome = ["reason": .string(why.reason)]
            }
        }
    }

    private final class Clock { var now: Int64 = 1_000_000 }

    private let server = Server()
    private let clock = Clock()
    private let key: Secret

    init() throws { key = Secret(try randomBytes(32)) }

    private func service() throws -> InputStateService { try InputStateService(next: server, key: key, clock: { [clock] in clock.now }) }

    private func call(
        _ service: InputStateService, _ tool: String = "t", method: String = "tools/call", state: String? = nil, principal: String = "alice",
        slug: String = "office", connector: String = "time",
        arguments: JSONValue = ["amount": 1]
    ) throws -> JSONValue {
        let virtual = VirtualMCP(
            slug: slug, title: slug, connectors: [connector], tools: [:], toolsListResult: ByteBuffer(), serverInfo: ByteBuffer(),
            capabilities: ByteBuffer(), instructions: nil)
        let record = CallRecord(
            grant: Grant(tokenID: "i", principal: principal, scope: .virtualMCP(slug), expiresAt: nil), virtualMCP: virtual, session: "s")
        record.connector = Connector(
            name: connector, app: "a", machineConfig: MachineTemplate(image: "i", command: [], environment: [:]), secretNames: [], generation: 1)
        var context = CallContext(session: SessionKey(id: "s"))
        context.attachment = record
        var params: JSONObject = ["name": .string(tool), "arguments": arguments]
        if let state {
            params["requestState"] = .string(state)
            params["inputResponses"] = ["k": ["action": "accept"]]
        }
        let sink = Sink()
        _ = service.call(MCPRequest(method: method, params: params), in: context, sink: sink)
        return try #require(sink.outcome)
    }

    private func asked(_ service: InputStateService) throws -> String {
        try #require(try call(service)["requestState"]?.stringValue)
    }

    @Test func leavesOpaqueAndComesBackAsItWas() throws {
        let service = try service()
        let sealed = try asked(service)
        #expect(!sealed.contains("own") && Base64URL.decode(sealed) != nil)
        #expect(try call(service, state: sealed)["resultType"] == "complete")
        #expect(server.seen == [nil, #"own "state""#])
        #expect(try asked(service) != sealed, "no two are alike")
    }

    @Test func anotherGatewayOpensItToo() throws {
        #expect(try call(service(), state: asked(service()))["resultType"] == "complete")
    }

    @Test func comesBackOnce() throws {
        let service = try service()
        let sealed = try asked(service)
        _ = try call(service, state: sealed)
        #expect(try call(service, state: sealed)["code"] == -32602)
        #expect(server.seen.count == 2)
    }

    @Test func comesBackAgainWhenNobodySawIt() throws {
        let service = try service()
        let sealed = try asked(service)
        server.isReachable = false
        #expect(try call(service, state: sealed)["reason"] == "no machine")
        server.isReachable = true
        #expect(try call(service, state: sealed)["resultType"] == "complete")
        #expect(try call(service, state: sealed)["code"] == -32602)
    }

    @Test func isForItsOwnRequestAlone() throws {
        let service = try service()
        for change in 0..<6 {
            let sealed = try asked(service)
            let before = server.seen.count
            let answer =
                switch change {
                case 0: try call(service, state: sealed, principal: "bob")
                case 1: try call(service, state: sealed, slug: "other")
                case 2: try call(service, state: sealed, connector: "git")
                case 3: try call(service, "t2", state: sealed)
                case 4: try call(service, state: sealed, arguments: ["amount": 2])
                default: try call(service, method: "prompts/get", state: sealed)
                }
            #expect(answer["code"] == -32602 && server.seen.count == before, "\(change)")
            // Nobody's attempt spoils it for whom it was made.
            #expect(try call(service, state: sealed)["resultType"] == "complete")
        }
    }

    @Test func whatWasChangedOrInventedIsRefused() throws {
        let service = try service()
        let sealed = try asked(service)
        var bytes = try #require(Base64URL.decode(sealed))
        for index in [0, 12, bytes.count - 1] {
            bytes[index] ^= 1
            #expect(try call(service, state: Base64URL.encode(bytes))["code"] == -32602)
            bytes[index] ^= 1
        }
        for text in ["", "own state", "x", String(sealed.dropLast()), sealed + "A", String(repeating: "A", count: 100_000)] {
            #expect(try call(service, state: text)["code"] == -32602)
        }
        #expect(server.seen.count == 1)
        #expect(try call(service, state: sealed)["resultType"] == "complete")
    }

    @Test func expires() throws {
        let service = try service()
        let sealed = try asked(service)
        clock.now += InputStateService.lifetime
        #expect(try call(service, state: sealed)["code"] == -32602)
    }

    @Test func isBounded() throws {
        server.state = #""\#(String(repeating: "x", count: InputStateService.stateLimit))""#
        #expect(try call(service())["code"] == -32603)
        server.state = #""\#(String(repeating: "x", count: InputStateService.stateLimit - 2))""#
        let service = try service()
        #expect(try call(service, state: asked(service))["resultType"] == "complete")
    }

    @Test func onePrincipalsAreHisOwn() {
        var used = UsedStates()
        func insert(_ nonce: [UInt8], _ principal: String, until expiry: Int64 = 10, now: Int64 = 1) -> Bool {
            used.insert(nonce[...], of: principal, until: expiry, now: now)
        }
        for number in 0..<UsedStates.limit { #expect(insert(withUnsafeBytes(of: number) { Array($0) }, "alice")) }
        #expect(!insert([1], "alice"))
        #expect(insert([1], "bob"))
        #expect(!insert([1], "bob"))
        #expect(insert([1], "alice", until: .max, now: 10), "what has expired is forgotten when there is need")
        #expect(insert([2], "bob", until: .max, now: InputStateService.lifetime + 2))
    }
}
