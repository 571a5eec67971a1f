import JSONText
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import MCP

/// `input_required` for a client of the handshake revisions: requests on its call's stream.
@Suite struct LegacyInputTests {
    let bench = FrontBench()

    private func open() -> String { bench.open(capabilities: #"{"elicitation":{},"sampling":{},"roots":{}}"#) }

    private func started(_ session: String) throws -> (RecordingExchange, RecordingService.Call) {
        let exchange = bench.legacy(#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"t","arguments":{"a":1}}}"#, session: session)
        return (exchange, try #require(bench.service.calls.last))
    }

    private static func required(_ requests: String, state: String = #""s1""#) -> MCPOutcome {
        .result(ByteBuffer(string: #"{"resultType":"input_required","inputRequests":{\#(requests)},"requestState":\#(state)}"#))
    }

    private static let elicit = #""q1":{"method":"elicitation/create","params":{"message":"who?"}}"#
    private static let roots = #""q2":{"method":"roots/list"}"#

    @Test(.tags(.failure20)) func questionsRideTheCallsStream() throws {
        let session = open()
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
        let session = open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.required(Self.elicit))
        let id = try #require(exchange.lastEvent?["id"]).text
        for other in [bench.open()] { _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"action":"accept"}}"#, session: other) }
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":"\#(id)","result":{"action":"accept"}}"#, session: session)
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":99,"result":{"action":"accept"}}"#, session: session)
        #expect(bench.service.calls.count == 1)
    }

    /// A legacy server is told an error as it is; the mark that carries it there reaches no modern server.
    @Test(arguments: [true, false]) func errorsAreHandedOn(isPending: Bool) throws {
        let session = open()
        let (exchange, call) = try started(session)
        let questions = #"\#(Self.elicit),"q3":{"method":"sampling/createMessage","params":{}}"#
        call.sink.finish(isPending ? Self.pending(questions) : Self.required(questions))
        for event in exchange.events {
            let id = try JSONValue(parsing: event)["id"]?.text ?? ""
            _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-1,"message":"User rejected"}}"#, session: session)
        }
        let responses = try #require(bench.service.calls.last?.params["inputResponses"])
        guard !isPending else {
            #expect(responses["q1"]?["berth/error"]?["code"]?.intValue == -1)
            #expect(responses["q3"]?["berth/error"]?["message"]?.stringValue == "User rejected")
            return
        }
        #expect(responses.text == #"{"q1":{"action":"cancel"}}"#)
        // A modern server that asks the same again is told no.
        bench.service.calls.last?.sink.finish(Self.required(#""q3":{"method":"sampling/createMessage","params":{}}"#))
        #expect(exchange.lastEvent?["error"]?["code"]?.intValue == -1 && exchange.isClosed)
    }

    @Test func aServerThatAsksForEverIsToldNo() throws {
        let session = open()
        let (exchange, _) = try started(session)
        for _ in 1...20 {
            guard let call = bench.service.calls.last, !exchange.isClosed else { break }
            call.sink.finish(Self.required(Self.elicit))
            guard !exchange.isClosed, let id = exchange.lastEvent?["id"]?.text else { break }
            _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"action":"accept"}}"#, session: session)
        }
        #expect(exchange.lastEvent?["error"]?["code"]?.intValue == -32603 && bench.service.calls.count == 11)
    }

    @Test(arguments: ["cancel", "leave"]) func theServerIsNotLeftWaiting(how: String) throws {
        let session = open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.required("\(Self.elicit),\(Self.roots)"))
        switch how {
        case "cancel": _ = bench.legacy(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#, session: session)
        default:
            exchange.onClientGone?()
            // It may come back for the rest of its stream, and is waited for.
            #expect(bench.service.calls.count == 1)
            bench.service.loop.advanceTime(by: MCPFront.patienceForReturn + .seconds(15))
        }
        let again = try #require(bench.service.calls.last)
        #expect(bench.service.calls.count == 2 && again.params["inputResponses"]?["q1"]?["action"]?.stringValue == "cancel")
        #expect(again.params["inputResponses"]?["q2"] == nil)
        #expect(again.cancels == (how == "leave" ? 0 : 1))
        if how == "leave" { again.sink.finish(.result(ByteBuffer(string: "{}"))) }
        #expect(bench.front.callsInFlight == 0)
    }

    private static func pending(_ requests: String) -> MCPOutcome {
        .result(
            ByteBuffer(string: #"{"resultType":"input_required","inputRequests":{\#(requests)},"requestState":"s1","_meta":{"berth/pending":true}}"#))
    }
    private static let settled = MCPOutcome.result(ByteBuffer(string: #"{"resultType":"berth/settled"}"#))

    /// A server that gives its question up and answers the call: the client has the answer at once, and its own comes too late.
    @Test func aQuestionIsTakenBack() throws {
        let session = open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.pending("\(Self.elicit),\(Self.roots)"))
        let wait = try #require(bench.service.calls.last)
        #expect(bench.service.calls.count == 2 && wait.request.name == "t" && wait.context.session.id == session)
        #expect(wait.context.isWatch && !call.context.isWatch)
        #expect(wait.params["inputResponses"]?.text == #"{"berth/wait":{}}"# && wait.params["requestState"]?.stringValue == "s1")
        let ids = try exchange.events.map { try #require(try JSONValue(parsing: $0)["id"]).text }
        // One is answered, the other never.
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(ids[1]),"result":{"roots":[]}}"#, session: session)
        wait.sink.finish(Self.settled)
        let cancelled = try #require(exchange.lastEvent)
        #expect(exchange.events.count == 3 && cancelled["method"]?.stringValue == "notifications/cancelled")
        #expect(cancelled["params"]?["requestId"]?.text == ids[0] && cancelled["id"] == nil)
        let again = try #require(bench.service.calls.last)
        #expect(bench.service.calls.count == 3 && again.params["requestState"]?.stringValue == "s1")
        #expect(again.params["inputResponses"]?["q2"]?.text == #"{"roots":[]}"# && again.params["inputResponses"]?["q1"]?["berth/error"] != nil)
        #expect(bench.legacy(#"{"jsonrpc":"2.0","id":\#(ids[0]),"result":{"action":"accept"}}"#, session: session).status == 202)
        again.sink.finish(.result(ByteBuffer(string: #"{"content":[]}"#)))
        #expect(exchange.lastEvent?["result"]?.text == #"{"content":[]}"# && exchange.isClosed && bench.service.calls.count == 3)
        #expect(bench.front.callsInFlight == 0 && wait.cancels == 0)
    }

    /// The client is not left with a question that nobody asks any more, and hears what became of its call.
    @Test(arguments: ["death", "death, then not delivered", "death, then unknown", "quick death"])
    func aServerThatIsGoneEndsTheCall(how: String) throws {
        let session = open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.pending(Self.elicit))
        let wait = try #require(bench.service.calls.last)
        let id = try #require(exchange.lastEvent?["id"]).text
        let why = Undelivered(.outcomeUnknown, "the server exited with status 5")
        let isQuick = how == "quick death"
        wait.sink.finish(isQuick ? .error(.invalidParams("requestState is unknown")) : .failed(why))
        if !isQuick {
            // It may have been the way to the server alone: the same wait once more, and no third.
            let second = try #require(bench.service.calls.last)
            #expect(bench.service.calls.count == 3 && second.context.isWatch && second.request.message == wait.request.message && !exchange.isClosed)
            switch how {
            case "death": second.sink.finish(.failed(Undelivered(.outcomeUnknown, "another")))
            case "death, then unknown": second.sink.finish(.error(.invalidParams("requestState is unknown")))
            default: second.sink.finish(.failed(Undelivered(.notDelivered, "no way")))
            }
        }
        #expect(exchange.events.contains { $0.contains("notifications/cancelled") && $0.contains(#""requestId":\#(id)"#) })
        let told = try #require(exchange.lastEvent?["error"])
        #expect(told["message"]?.stringValue?.contains(isQuick ? "ended at its server" : "exited with status 5") == true, "\(told)")
        #expect(exchange.isClosed && bench.front.callsInFlight == 0 && bench.service.calls.count == (isQuick ? 2 : 3))
        #expect(bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"action":"accept"}}"#, session: session).status == 202)
    }

    /// A question of a legacy server names no call: it is no use on a stream that nobody reads while the client reads another.
    @Test(arguments: ["resumable", "not resumable"]) func aQuestionIsAskedWhereTheClientReads(how: String) throws {
        let session = open()
        let (left, first) = try started(session)
        if how == "resumable" { _ = first.sink.notification(ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#)) }
        left.onClientGone?()
        let before = left.events.count
        let other = bench.legacy(#"{"jsonrpc":"2.0","id":"y","method":"tools/call","params":{"name":"u"}}"#, session: session)
        let second = try #require(bench.service.calls.last)
        first.sink.finish(Self.pending(Self.elicit))
        #expect(left.events.count == before && other.events.count == 1)
        let id = try #require(other.lastEvent?["id"]).text
        // It has as long as any question, and not as long as who left is waited for.
        bench.service.loop.advanceTime(by: MCPFront.patienceForReturn + .seconds(15))
        #expect(bench.service.calls.count == 3)
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"action":"accept"}}"#, session: session)
        #expect(bench.service.calls.last?.request.name == "t" && bench.service.calls.last?.params["inputResponses"]?["q1"]?["action"] == "accept")
        second.sink.finish(.result(ByteBuffer(string: #"{"content":[]}"#)))
        #expect(other.lastEvent?["id"] == "y" && other.isClosed)
    }

    @Test func whatIsAskedElsewhereIsTakenBackThere() throws {
        let session = open()
        let (left, first) = try started(session)
        left.onClientGone?()
        let other = bench.legacy(#"{"jsonrpc":"2.0","id":"y","method":"tools/call","params":{"name":"u"}}"#, session: session)
        first.sink.finish(Self.pending(Self.elicit))
        try #require(bench.service.calls.last).sink.finish(Self.settled)
        #expect(other.events.count == 2 && other.lastEvent?["method"] == "notifications/cancelled")
    }

    /// A modern server's question is its call's alone, and waits for whoever comes back for that.
    @Test func aQuestionThatNamesItsCallStaysThere() throws {
        let session = open()
        let (left, first) = try started(session)
        _ = first.sink.notification(ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#))
        left.onClientGone?()
        let other = bench.legacy(#"{"jsonrpc":"2.0","id":"y","method":"tools/call","params":{"name":"u"}}"#, session: session)
        first.sink.finish(Self.required(Self.elicit))
        #expect(other.events.isEmpty && bench.service.calls.count == 2)
    }

    /// The way to the server broke off, and the server is alive: its question stays open, and its end is heard of all the same.
    @Test func aWayThatBreaksOffOnceEndsNothing() throws {
        let session = open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.pending(Self.elicit))
        try #require(bench.service.calls.last).sink.finish(.failed(Undelivered(.outcomeUnknown, "the connection to the machine was lost")))
        #expect(exchange.events.count == 1 && !exchange.isClosed && bench.service.calls.count == 3)
        try #require(bench.service.calls.last).sink.finish(Self.settled)
        #expect(exchange.events.count == 2 && bench.service.calls.last?.params["inputResponses"]?["q1"] != nil)
        bench.service.calls.last?.sink.finish(.result(ByteBuffer(string: #"{"content":[]}"#)))
        #expect(exchange.lastEvent?["result"]?.text == #"{"content":[]}"# && exchange.isClosed)
    }

    /// It is a word of ours to our own services.
    @Test func noClientWaitsSo() throws {
        let params = #""name":"t","requestState":"s","inputResponses":{"berth/wait":{}}"#
        let modern = bench.modern("tools/call", params: params, name: "t")
        #expect(modern.status == 400 && modern.errorCode == -32602)
        let legacy = bench.legacy(#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{\#(params)}}"#, session: open())
        #expect(legacy.json?["error"]?["code"]?.intValue == -32602 && bench.service.calls.isEmpty)
    }

    /// With the answers nobody waits any more; where the wait cannot be had, the answers are waited for.
    @Test(arguments: ["answer", "leave", "fail"]) func theWaitEndsWithTheRound(how: String) throws {
        let session = open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.pending(Self.elicit))
        let wait = try #require(bench.service.calls.last)
        let id = try #require(exchange.lastEvent?["id"]).text
        switch how {
        case "leave": bench.front.sessionEnded(session)
        case "fail": wait.sink.finish(.failed(Undelivered(.notDelivered, "too many calls")))
        default: break
        }
        if how != "leave" {
            #expect(bench.service.calls.count == 2 && exchange.events.count == 1)
            _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"action":"accept"}}"#, session: session)
            #expect(bench.service.calls.last?.params["inputResponses"]?["q1"]?["action"] == "accept" && bench.service.calls.count == 3)
        }
        #expect(wait.cancels == (how == "fail" ? 0 : 1))
    }

    /// Modern clients know nothing of it.
    @Test func aModernClientDoesNotWait() throws {
        let call = bench.modern("tools/call", params: #""name":"t""#, name: "t")
        try #require(bench.service.calls.last).sink.finish(Self.pending(Self.elicit))
        #expect(bench.service.calls.count == 1 && call.json?["result"]?["resultType"] == "input_required")
        #expect(call.body?.contains("berth/") == false)
    }

    /// Its server is gone with it, and must not be started once more.
    @Test func theEndOfTheSessionEndsTheRound() throws {
        let session = open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.required(Self.elicit))
        bench.front.sessionEnded(session)
        #expect(bench.service.calls.count == 1 && exchange.isClosed && bench.front.callsInFlight == 0)
    }

    /// A service that answers before `call` returns: what it asks in this way is as open as any question.
    @Test(arguments: ["cancel", "answer"]) func whatIsAskedAgainAtOnceIsAskedTheSame(how: String) throws {
        let session = open()
        let (exchange, call) = try started(session)
        call.sink.finish(Self.required(Self.elicit))
        bench.service.atOnce = { $0.sink.finish(Self.required(Self.elicit, state: #""s2""#)) }
        let first = try #require(exchange.lastEvent?["id"]).text
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(first),"result":{}}"#, session: session)
        bench.service.atOnce = nil
        #expect(exchange.events.count == 2)
        if how == "cancel" {
            _ = bench.legacy(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#, session: session)
            #expect(bench.service.calls.last?.params["inputResponses"]?["q1"]?["action"]?.stringValue == "cancel")
            #expect(exchange.isClosed && bench.front.callsInFlight == 0)
        } else {
            let second = try #require(exchange.lastEvent?["id"]).text
            _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(second),"result":{"action":"decline"}}"#, session: session)
            #expect(bench.service.calls.last?.params["requestState"]?.stringValue == "s2")
        }
    }

    /// A server may ask what its client declared; the call of one that asks anything else ends, and says so.
    @Test(arguments: [
        (#""q5":{"method":"sampling/createMessage","params":{}}"#, "asks for sampling", #"{"requiredCapabilities":{"sampling":{}}}"#),
        (#""q5":{"method":"elicitation/create","params":{"mode":"url"}}"#, "by a URL", #"{"requiredCapabilities":{"elicitation":{"url":{}}}}"#),
        (
            #""q5":{"method":"roots/list"},"q6":{"method":"sampling/createMessage","params":{"tools":[]}}"#, "sampling, sampling with tools, roots",
            #"{"requiredCapabilities":{"sampling":{"tools":{}},"roots":{}}}"#
        ), (#""q6":{"method":"tools/call"}"#, "asks for tools/call", nil),
    ])
    func whatWasNotDeclaredIsNotAsked(questions: String, words: String, data: String?) throws {
        let session = bench.open(capabilities: #"{"elicitation":{}}"#)
        let (exchange, call) = try started(session)
        call.sink.finish(Self.required("\(Self.elicit),\(questions)"))
        #expect(exchange.events.isEmpty && bench.service.calls.count == 1 && exchange.errorCode == -32603)
        let error = try #require(exchange.json?["error"])
        #expect(error["message"]?.stringValue?.contains(words) == true && error["data"]?.text == data)

        let modern = bench.modern("tools/call", params: #""name":"t""#, name: "t")
        try #require(bench.service.calls.last).sink.finish(Self.required("\(Self.elicit),\(questions)"))
        #expect(modern.errorCode == (data == nil ? -32603 : -32021) && modern.status == (data == nil ? 200 : 400))
        #expect(modern.json?["error"]?["data"]?.text == data && bench.service.calls.count == 2)
    }

    /// Its questions are read as its client reads them, whatever they look like.
    @Test func aModernClientGetsNoQuestionThatCannotBeRead() throws {
        for questions in [#""q1":[]"#, #""q1":{"params":{}}"#, #""q1":{"method":"elicitation/create","params":1}"#] {
            let call = bench.modern("tools/call", params: #""name":"t""#, name: "t")
            try #require(bench.service.calls.last).sink.finish(Self.required(questions))
            #expect(call.errorCode == -32603)
        }
        let escaped = bench.modern("tools/call", params: #""name":"t""#, name: "t")
        let result = #"{"resultType":"input\u005frequired","inputRequests":{"q2":{"method":"roots\/list"}}}"#
        try #require(bench.service.calls.last).sink.finish(.result(ByteBuffer(string: result)))
        #expect(escaped.errorCode == -32021)
    }

    /// A message of a batch has no stream: nobody is asked, and the server is told.
    @Test func inABatchTheServerIsToldNo() throws {
        let session = bench.open(version: "2025-03-26", capabilities: #"{"elicitation":{}}"#)
        let batch = bench.legacy(#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}]"#, session: session)
        try #require(bench.service.calls.last).sink.finish(Self.required(Self.elicit))
        let again = try #require(bench.service.calls.last)
        #expect(again.params["inputResponses"]?["q1"]?.text == #"{"action":"cancel"}"#)
        again.sink.finish(.result(ByteBuffer(string: "{}")))
        #expect(batch.json?[0]?["result"]?.text == "{}")
    }

    /// Nothing can be said to a modern server that asked for no elicitation and keeps no state: its call ends with what the client said.
    @Test func aRefusalThatCannotBeSaidEndsTheCall() throws {
        let session = open()
        let (exchange, call) = try started(session)
        call.sink.finish(.result(ByteBuffer(string: #"{"resultType":"input_required","inputRequests":{\#(Self.roots)}}"#)))
        let id = try #require(exchange.lastEvent?["id"]).text
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-1,"message":"User rejected"}}"#, session: session)
        #expect(bench.service.calls.count == 1 && exchange.lastEvent?["error"]?["code"]?.intValue == -1 && exchange.isClosed)
    }

    /// Without its answers the request would be a new one, and run a second time.
    @Test func answersThatDoNotFitEndTheCall() throws {
        let session = open()
        let text = String(repeating: "x", count: 3_500_000)
        let exchange = bench.legacy(
            #"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"t","arguments":{"a":"\#(text)"}}}"#, session: session)
        let questions = (1...5).map { Self.elicit.replacing("q1", with: "q\($0)") }.joined(separator: ",")
        try #require(bench.service.calls.last).sink.finish(Self.required(questions))
        for event in exchange.events {
            let id = try JSONValue(parsing: event)["id"]?.text ?? ""
            _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"action":"accept","content":{"a":"\#(text)"}}}"#, session: session)
        }
        #expect(bench.service.calls.count == 1 && exchange.lastEvent?["error"]?["code"]?.intValue == -32603 && exchange.isClosed)
    }

    @Test func aClientsOwnWordsAreReplaced() throws {
        let session = open()
        let exchange = bench.legacy(
            #"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"t","requestState":"mine","inputResponses":{"q1":{}}}}"#, session: session)
        try #require(bench.service.calls.last).sink.finish(Self.required(Self.elicit))
        let id = try #require(exchange.lastEvent?["id"]).text
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"action":"accept"}}"#, session: session)
        let again = try #require(bench.service.calls.last)
        #expect(again.params["requestState"]?.stringValue == "s1" && again.params["inputResponses"]?["q1"]?["action"]?.stringValue == "accept")
    }

    /// Of a modern client's requests only three may end with a question; in the others the server is told that nobody answers.
    @Test func aModernClientIsAskedWhereItExpectsIt() throws {
        let list = bench.modern("tools/list")
        try #require(bench.service.calls.last).sink.finish(Self.required(Self.roots))
        let again = try #require(bench.service.calls.last)
        #expect(bench.service.calls.count == 2 && again.params["inputResponses"] == nil && again.params["requestState"] == "s1")
        again.sink.finish(.result(ByteBuffer(string: #"{"tools":[]}"#)))
        #expect(list.json?["result"]?["resultType"]?.stringValue == "complete")
        let call = bench.modern("tools/call", params: #""name":"t""#, name: "t")
        try #require(bench.service.calls.last).sink.finish(Self.required(Self.elicit))
        #expect(call.json?["result"]?["resultType"]?.stringValue == "input_required" && bench.service.calls.count == 3)
    }

    @Test func aResultWithStateAloneIsSentAgain() throws {
        let (exchange, call) = try started(open())
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
