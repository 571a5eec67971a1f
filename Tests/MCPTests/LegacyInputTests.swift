import JSONText
import MCP
import NIOCore
import Testing

/// `input_required` for a client of the handshake revisions: requests on its call's stream.
@Suite struct LegacyInputTests {
    let bench = FrontBench()

    private func started(_ session: String) throws -> (RecordingExchange, RecordingService.Call) {
        let exchange = bench.legacy(#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"t","arguments":{"a":1}}}"#, session: session)
        return (exchange, try #require(bench.service.calls.last))
    }

    private static func required(_ requests: String, state: String = #""s1""#) -> MCPOutcome {
        .result(ByteBuffer(string: #"{"resultType":"input_required","inputRequests":{\#(requests)},"requestState":\#(state)}"#))
    }

    private static let elicit = #""q1":{"method":"elicitation/create","params":{"message":"who?"}}"#
    private static let roots = #""q2":{"method":"roots/list"}"#

    @Test func questionsRideTheCallsStream() throws {
        let session = bench.open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.required("\(Self.elicit),\(Self.roots)"))
        #expect(exchange.isOpen && exchange.events.count == 2 && !exchange.isClosed)
        let questions = try exchange.events.map { try JSONValue(parsing: $0) }
        #expect(questions.map { $0["method"]?.stringValue } == ["elicitation/create", "roots/list"])
        #expect(questions[0]["params"]?["message"]?.stringValue == "who?")
        let ids = questions.map { $0["id"]?.text ?? "" }

        #expect(bench.legacy(#"{"jsonrpc":"2.0","id":\#(ids[1]),"result":{"roots":[]}}"#, session: session).status == 202)
        #expect(bench.service.calls.count == 1)
        #expect(bench.legacy(#"{"jsonrpc":"2.0","id":\#(ids[0]),"result":{"action":"accept","content":{"n":1}}}"#, session: session).status == 202)
        let again = try #require(bench.service.calls.last)
        #expect(bench.service.calls.count == 2 && again.request.name == "t" && again.params["arguments"]?.text == #"{"a":1}"#)
        #expect(again.params["requestState"]?.stringValue == "s1")
        #expect(again.params["inputResponses"]?["q1"]?["content"]?["n"]?.intValue == 1 && again.params["inputResponses"]?["q2"]?.text == #"{"roots":[]}"#)
        #expect(again.context.session.id == session)
        again.sink.finish(.result(ByteBuffer(string: #"{"content":[]}"#)))
        #expect(exchange.lastEvent?["result"]?.text == #"{"content":[]}"# && exchange.lastEvent?["id"]?.stringValue == "x" && exchange.isClosed)
        #expect(bench.front.callsInFlight == 0)
    }

    @Test func anotherSessionCannotAnswer() throws {
        let session = bench.open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.required(Self.elicit))
        let id = try #require(exchange.lastEvent?["id"]).text
        for other in [bench.open()] { _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"action":"accept"}}"#, session: other) }
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":"\#(id)","result":{"action":"accept"}}"#, session: session)
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":99,"result":{"action":"accept"}}"#, session: session)
        #expect(bench.service.calls.count == 1)
    }

    @Test func errorsAreHandedOn() throws {
        let session = bench.open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.required(#"\#(Self.elicit),"q3":{"method":"sampling/createMessage","params":{}}"#))
        for event in exchange.events {
            let id = try JSONValue(parsing: event)["id"]?.text ?? ""
            _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-1,"message":"User rejected"}}"#, session: session)
        }
        let responses = try #require(bench.service.calls.last?.params["inputResponses"])
        #expect(responses["q1"]?["action"]?.stringValue == "cancel" && responses["q1"]?["_meta"]?["berth/error"]?["code"]?.intValue == -1)
        #expect(responses["q3"]?["berth/error"]?["message"]?.stringValue == "User rejected")
        // A modern server that asks the same again is told no.
        bench.service.calls.last?.sink.finish(Self.required(#""q3":{"method":"sampling/createMessage","params":{}}"#))
        #expect(exchange.lastEvent?["error"]?["code"]?.intValue == -1 && exchange.isClosed)
    }

    @Test func aServerThatAsksForEverIsToldNo() throws {
        let session = bench.open()
        let (exchange, _) = try started(session)
        for _ in 1...20 {
            guard let call = bench.service.calls.last, !exchange.isClosed else { break }
            call.sink.finish(Self.required(Self.elicit))
            guard !exchange.isClosed, let id = exchange.lastEvent?["id"]?.text else { break }
            _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"action":"accept"}}"#, session: session)
        }
        #expect(exchange.lastEvent?["error"]?["code"]?.intValue == -32603 && bench.service.calls.count == 11)
    }

    @Test(arguments: ["cancel", "leave", "end"]) func theServerIsNotLeftWaiting(how: String) throws {
        let session = bench.open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.required("\(Self.elicit),\(Self.roots)"))
        switch how {
        case "cancel": _ = bench.legacy(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#, session: session)
        case "leave": exchange.onClientGone?()
        default: bench.front.sessionEnded(session)
        }
        let again = try #require(bench.service.calls.last)
        #expect(bench.service.calls.count == 2 && again.params["inputResponses"]?["q1"]?["action"]?.stringValue == "cancel")
        #expect(again.params["inputResponses"]?["q2"]?["berth/error"] != nil)
        #expect(again.cancels == (how == "leave" ? 0 : 1))
        if how == "leave" { again.sink.finish(.result(ByteBuffer(string: "{}"))) }
        #expect(bench.front.callsInFlight == 0)
    }

    @Test func aResultWithStateAloneIsSentAgain() throws {
        let (exchange, call) = try started(bench.open())
        call.sink.finish(.result(ByteBuffer(string: #"{"resultType":"input_required","requestState":"later"}"#)))
        #expect(bench.service.calls.count == 2 && bench.service.calls.last?.params["requestState"]?.stringValue == "later" && exchange.events.isEmpty)
    }

    @Test func capabilitiesReachTheServer() throws {
        _ = bench.legacy(
            #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{},"tasks":{}}}}"#, session: nil)
        let (_, call) = try started("session-1")
        #expect(call.context.clientCapabilities?.text == #"{"elicitation":{}}"#)
    }
}
