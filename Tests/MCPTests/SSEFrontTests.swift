import JSONText
import NIOCore
import TestSupport
import Testing

@testable import MCP

/// Clients of 2024-11-05: one stream, and POSTs that are only acknowledged.
struct SSEFrontTests {
    private let bench = FrontBench()
    private let old: SSEFront

    init() { old = SSEFront(front: bench.front) }

    private func send(_ verb: FrontRequest.Verb, _ body: String = "", query: String? = nil, principal: String = "ann", endpoint: String = "e") -> RecordingExchange {
        var request = FrontRequest(verb: verb, body: ByteBuffer(string: body))
        request.accept = verb == .get ? "text/event-stream" : "*/*"
        request.contentType = verb == .post ? "application/json" : nil
        let exchange = RecordingExchange()
        old.handle(
            request, query: query.map { Substring($0) }, endpoint: "/sse", caller: FrontCaller(principal: principal, endpoint: endpoint), exchange: exchange)
        return exchange
    }

    /// A stream whose session is open, and what its client posts with.
    private func open() throws -> (stream: RecordingExchange, query: String) {
        let stream = send(.get)
        let query = try #require(stream.endpoint?.split(separator: "?").last.map(String.init))
        let initialize = """
            {"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{"sampling":{}},\
            "clientInfo":{"name":"old","version":"2"}}}
            """
        let acknowledged = send(.post, initialize, query: query)
        #expect(acknowledged.status == 202 && acknowledged.body == nil)
        #expect(stream.lastEvent?["result"]?["protocolVersion"] == "2024-11-05")
        #expect(send(.post, #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, query: query).status == 202)
        return (stream, query)
    }

    private let call = #"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"t"}}"#

    @Test func theFirstEventSaysWhereToPost() throws {
        let stream = send(.get)
        let endpoint = try #require(stream.endpoint)
        #expect(endpoint.hasPrefix("/sse?sessionId=") && endpoint.utf8.count == "/sse?sessionId=".utf8.count + 32)
        #expect(send(.get).endpoint != endpoint)
    }

    @Test func everythingComesOnTheStream() throws {
        let (stream, query) = try open()
        #expect(send(.post, call, query: query).status == 202)
        let sink = try #require(bench.service.calls.last { $0.request.method == "tools/call" }).sink
        _ = sink.notification(ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#))
        sink.finish(.result(ByteBuffer(string: #"{"resultType":"complete","content":[]}"#)))
        #expect(stream.events.suffix(2).first?.contains("notifications/message") == true)
        #expect(stream.events.last == #"{"jsonrpc":"2.0","id":5,"result":{"content":[]}}"# && !stream.isClosed)
        #expect(stream.primed == nil, "it knows nothing of resuming")
    }

    @Test func whoDoesNotReadCallsNoMore() throws {
        let (stream, query) = try open()
        for _ in 0..<40 { #expect(send(.post, call, query: query).status == 202) }
        let sinks = bench.service.calls.filter { $0.request.method == "tools/call" }.map(\.sink)
        let result = ByteBuffer(string: #"{"resultType":"complete","content":[],"text":"\#(String(repeating: "x", count: 1 << 20))"}"#)
        stream.demand = .pause
        sinks[0].finish(.result(result))
        #expect(send(.post, call, query: query).status == 429)
        // Its own answers and cancellations are still heard.
        #expect(send(.post, #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}"#, query: query).status == 202)
        stream.onResume?()
        #expect(send(.post, call, query: query).status == 202)
        for sink in sinks.dropFirst() { sink.finish(.result(result)) }
        #expect(stream.isClosed && old.count == 0 && stream.events.count < 24)
        #expect(send(.post, call, query: query).status == 404)
    }

    @Test func itsServerMayAskIt() throws {
        let (stream, query) = try open()
        _ = send(.post, call, query: query)
        try #require(bench.service.calls.last { $0.request.method == "tools/call" }).sink.finish(
            .result(ByteBuffer(string: #"{"resultType":"input_required","inputRequests":{"k":{"method":"sampling/createMessage","params":{}}}}"#)))
        let question = try #require(stream.lastEvent)
        #expect(question["method"] == "sampling/createMessage")
        #expect(send(.post, #"{"jsonrpc":"2.0","id":\#(try #require(question["id"]).text),"result":{"role":"assistant"}}"#, query: query).status == 202)
        #expect(bench.service.calls.last?.params["inputResponses"]?["k"]?["role"] == "assistant")
    }

    @Test func listChangesComeToo() throws {
        let (stream, _) = try open()
        let listen = try #require(bench.service.calls.last { $0.request.method == "subscriptions/listen" })
        _ = listen.sink.notification(
            ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true}}}"#))
        _ = listen.sink.notification(ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#))
        #expect(stream.lastEvent?["method"] == "notifications/tools/list_changed")
    }

    @Test func whatIsNoMessageIsRefusedAtOnce() throws {
        let (stream, query) = try open()
        let before = stream.events.count
        let refused = send(.post, "{", query: query)
        #expect(refused.status == 400 && refused.errorCode == -32700 && stream.events.count == before)
    }

    @Test func theStreamIsItsPrincipalsOwn() throws {
        let (_, query) = try open()
        #expect(send(.post, call, query: query, principal: "eve").status == 404)
        #expect(send(.post, call, query: query, endpoint: "other").status == 404)
        #expect(send(.post, call, query: "sessionId=").status == 404)
        #expect(send(.post, call, query: "sessionId=0123456789abcdef0123456789abcdef").status == 404)
        #expect(!bench.service.calls.contains { $0.request.method == "tools/call" })
    }

    @Test(.tags(.failure07)) func theSessionEndsWithTheStream() throws {
        let (stream, query) = try open()
        _ = send(.post, call, query: query)
        let call = try #require(bench.service.calls.last { $0.request.method == "tools/call" })
        stream.onClientGone?()
        #expect(bench.host.sessions.isEmpty && call.cancels == 1 && old.count == 0)
        #expect(bench.front.sessions.isEmpty && bench.front.streams.isEmpty && bench.front.callsInFlight == 0)
        #expect(send(.post, self.call, query: query).status == 404)
    }

    @Test func theStreamEndsWithTheSession() throws {
        let (stream, _) = try open()
        bench.front.sessionEnded("session-1")
        #expect(stream.isClosed && old.count == 0)
    }

    @Test(.tags(.failure07)) func closingEndsAll() throws {
        let streams = [send(.get), try open().stream]
        old.closeAll()
        #expect(streams.allSatisfy(\.isClosed) && old.count == 0 && bench.host.sessions.isEmpty)
    }

    @Test func closingLetsCallsBeAnswered() throws {
        let (stream, query) = try open()
        _ = send(.post, call, query: query)
        let running = try #require(bench.service.calls.last { $0.request.method == "tools/call" })
        old.closeAll()
        bench.front.closeAll()
        #expect(!stream.isClosed && running.cancels == 0)
        running.sink.finish(.result(ByteBuffer(string: #"{"content":[]}"#)))
        #expect(stream.events.last == #"{"jsonrpc":"2.0","id":5,"result":{"content":[]}}"# && stream.isClosed && old.count == 0)
    }

    @Test func anOpenStreamIsInUseAndKeepsNoHistory() throws {
        let (stream, query) = try open()
        #expect(bench.front.sessionsInUse == ["session-1"])
        _ = send(.post, call, query: query)
        _ = try #require(bench.service.calls.last { $0.request.method == "tools/call" }).sink.notification(
            ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#))
        #expect(stream.ids.allSatisfy { $0 == nil } && bench.front.historyBytes == 0)
    }

    /// One that was given the old address by mistake.
    @Test func aStreamableClientIsServedThereToo() throws {
        var request = bench.legacyRequest(
            #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c"}}}"#, session: nil)
        let exchange = RecordingExchange()
        let caller = FrontCaller(principal: "ann", endpoint: "e")
        old.handle(request, query: nil, endpoint: "/sse", caller: caller, exchange: exchange)
        let session = try #require(exchange.header("Mcp-Session-Id"))
        request = FrontRequest(verb: .get)
        (request.accept, request.sessionID) = ("text/event-stream", session)
        let stream = RecordingExchange()
        old.handle(request, query: nil, endpoint: "/sse", caller: caller, exchange: stream)
        #expect(stream.isOpen && stream.endpoint == nil)
    }
}
