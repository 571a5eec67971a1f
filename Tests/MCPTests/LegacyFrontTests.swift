import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@Suite struct LegacyFrontTests {
    let bench = FrontBench()

    private func call(_ session: String, id: String = "1", meta: String = "") -> RecordingExchange {
        bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"t"\#(meta)}}"#, session: session)
    }

    @Test(arguments: [
        ("2024-11-05", "2024-11-05"), ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"), ("1999-01-01", "2025-11-25"),
    ]) func initializeEchoesTheVersion(asked: String, answered: String) throws {
        let exchange = bench.legacy(
            #"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"\#(asked)","capabilities":{"roots":{}},"clientInfo":{"name":"c"}}}"#,
            session: nil)
        #expect(exchange.status == 200 && exchange.header("Mcp-Session-Id") == "session-1")
        let result = try #require(exchange.json?["result"])
        #expect(result["protocolVersion"]?.stringValue == answered && exchange.json?["id"]?.stringValue == "i")
        #expect(result["serverInfo"]?["name"]?.stringValue == "fake" && result["capabilities"]?["tools"] != nil)
        #expect(result["instructions"]?.stringValue == "say \"hi\"" && result["resultType"] == nil)
        let record = try #require(bench.host.sessions["session-1"]?.0)
        #expect(
            record.protocolVersion == answered && record.clientCapabilities.text == #"{"roots":{}}"# && record.clientInfo?.text == #"{"name":"c"}"#)
        #expect(bench.service.calls.isEmpty)
    }

    @Test func initializeNeedsAVersion() {
        #expect(bench.legacy(#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#, session: nil).errorCode == -32602)
    }

    @Test func statesTheSessionInMeta() throws {
        let session = bench.open()
        let exchange = call(
            session, id: "\"x\"", meta: #","_meta":{"progressToken":"p","io.modelcontextprotocol/clientInfo":{"name":"liar"},"own":1}"#)
        let call = try #require(bench.service.calls.first)
        #expect(call.meta("io.modelcontextprotocol/protocolVersion")?.stringValue == "2026-07-28")
        #expect(call.meta("io.modelcontextprotocol/clientCapabilities")?.text == #"{"sampling":{},"x":{}}"#)
        #expect(call.meta("io.modelcontextprotocol/clientInfo")?["name"]?.stringValue == "old")
        #expect(call.meta("io.modelcontextprotocol/logLevel")?.stringValue == "info")
        #expect(call.meta("own")?.intValue == 1 && call.meta("progressToken")?.stringValue == "p")
        #expect(call.context.session.id == session && call.context.clientCapabilities?.text == #"{"sampling":{},"x":{}}"#)
        call.sink.finish(
            .result(
                ByteBuffer(
                    string:
                        #"{"resultType":"complete","content":[],"_meta":{"io.modelcontextprotocol/serverInfo":{}},"ttlMs":1,"cacheScope":"public"}"#))
        )
        #expect(exchange.body == #"{"jsonrpc":"2.0","id":"x","result":{"content":[]}}"#)
    }

    /// In these revisions a tool's output is an object, and so is its schema.
    @Test(arguments: [
        ("tools/call", #"{"content":[],"structuredContent":[1]}"#, #"{"content":[]}"#),
        ("tools/call", #"{"structuredContent":"x","content":[]}"#, #"{"content":[]}"#),
        ("tools/call", #"{"content":[],"structuredContent":{"a":1.50}}"#, #"{"content":[],"structuredContent":{"a":1.50}}"#),
        (
            "tools/list", #"{"tools":[{"name":"a","outputSchema":{"type":"array"}},{"outputSchema":true,"name":"b"},{"name":"c","outputSchema":{"type":"object"}}]}"#,
            #"{"tools":[{"name":"a"},{"name":"b"},{"name":"c","outputSchema":{"type":"object"}}]}"#
        ),
        ("prompts/list", #"{"tools":[{"outputSchema":[]}],"prompts":[]}"#, #"{"tools":[{"outputSchema":[]}],"prompts":[]}"#),
    ]) func outputThatIsNoObjectIsHidden(method: String, result: String, told: String) throws {
        let params = method == "tools/call" ? #","params":{"name":"t"}"# : ""
        let exchange = bench.legacy(#"{"jsonrpc":"2.0","id":1,"method":"\#(method)"\#(params)}"#, session: bench.open())
        try #require(bench.service.calls.first).sink.finish(.result(ByteBuffer(string: result)))
        #expect(exchange.body == #"{"jsonrpc":"2.0","id":1,"result":\#(told)}"#)
    }

    @Test func requestsWithoutParamsGetThem() throws {
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, session: bench.open())
        #expect(bench.service.calls.first?.meta("io.modelcontextprotocol/protocolVersion") != nil)
    }

    @Test func keepsOtherMetaOfResults() {
        let exchange = call(bench.open())
        bench.service.calls.first?.sink.finish(
            .result(ByteBuffer(string: #"{"_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{}},"x":"resultType"}"#)))
        #expect(exchange.json?["result"]?.text == #"{"_meta":{"a":1},"x":"resultType"}"#)
    }

    @Test(.tags(.failure24)) func needsASession() {
        #expect(bench.legacy(#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#, session: nil).status == 400)
        let unknown = bench.legacy(#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#, session: "nope")
        #expect(unknown.status == 404 && unknown.errorCode == -32001 && unknown.json?["id"]?.intValue == 3)
        let session = bench.open()
        #expect(bench.legacy(#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#, session: session, principal: "eve").status == 404)
        #expect(bench.service.calls.isEmpty)
    }

    @Test func fallsBackToTheSessionsVersionWithoutAHeader() {
        var request = bench.legacyRequest(#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, session: bench.open())
        request.protocolVersion = nil
        _ = bench.send(request)
        #expect(bench.service.calls.count == 1)
    }

    @Test(.tags(.failure16)) func answersPingAndLevelsItself() {
        let session = bench.open()
        #expect(bench.legacy(#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#, session: session).body == #"{"jsonrpc":"2.0","id":"p","result":{}}"#)
        #expect(
            bench.legacy(#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"loud"}}"#, session: session).errorCode == -32602)
        #expect(
            bench.legacy(#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}"#, session: session).json?["result"] == [:]
        )
        _ = call(session)
        #expect(bench.service.calls.first?.meta("io.modelcontextprotocol/logLevel")?.stringValue == "error")
    }

    @Test(arguments: ["server/discover", "subscriptions/listen", "tasks/get"]) func refusesMethodsOfTheOtherEra(method: String)
    {
        let exchange = bench.legacy(#"{"jsonrpc":"2.0","id":1,"method":"\#(method)","params":{}}"#, session: bench.open())
        #expect(exchange.status == 200 && exchange.errorCode == -32601)
    }

    @Test(arguments: [
        #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, #"{"jsonrpc":"2.0","method":"notifications/roots/list_changed","params":null}"#,
        #"{"jsonrpc":"2.0","id":9,"result":{}}"#, #"{"jsonrpc":"2.0","id":9,"error":{"code":1,"message":"m"}}"#,
        #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"never"}}"#,
    ]) func acceptsWhatNeedsNoAnswer(body: String) {
        let exchange = bench.legacy(body, session: bench.open())
        #expect(exchange.status == 202 && exchange.body == nil)
    }

    @Test func translatesNotFound() {
        let exchange = bench.legacy(#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"u"}}"#, session: bench.open())
        bench.service.calls.first?.sink.finish(.error(MCPError(code: -32602, message: "m", data: ByteBuffer(string: #"{"uri":"u"}"#))))
        #expect(exchange.status == 200 && exchange.errorCode == -32002)
    }

    // MARK: Cancellation

    @Test(.tags(.failure19), arguments: [("1", "1"), ("\"a\"", #""\u0061""#)]) func cancelsByTheClientsID(id: String, spelled: String) throws {
        let session = bench.open()
        let exchange = call(session, id: id)
        let cancelled = try #require(bench.service.calls.first)
        // Another type, another session, another id: not this call.
        let other = bench.open()
        for (request, place) in [(id == "1" ? "\"1\"" : "1", session), (id, other), ("2", session)] {
            _ = bench.legacy(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(request)}}"#, session: place)
        }
        #expect(cancelled.cancels == 0)
        let notice = bench.legacy(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":\#(spelled)}}"#, session: session)
        #expect(notice.status == 202 && cancelled.cancels == 1)
        #expect(exchange.isOpen && exchange.isClosed && exchange.events.isEmpty, "a cancelled request gets no response")
        #expect(bench.front.callsInFlight == 0)
    }

    @Test(.tags(.failure18)) func doesNotGuessBetweenEqualIDs() {
        let session = bench.open()
        let exchanges = [call(session), call(session)]
        _ = bench.legacy(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#, session: session)
        #expect(bench.service.calls.map(\.cancels) == [0, 0])
        bench.service.calls[1].sink.finish(.result(ByteBuffer(string: #"{"b":2}"#)))
        #expect(exchanges[0].status == nil && exchanges[1].json?["result"]?["b"]?.intValue == 2)
        _ = bench.legacy(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#, session: session)
        #expect(bench.service.calls[0].cancels == 1)
    }

    @Test func hangingUpIsNotCancel() throws {
        let session = bench.open()
        let exchange = call(session)
        exchange.onClientGone?()
        let running = try #require(bench.service.calls.first)
        #expect(running.cancels == 0 && bench.front.callsInFlight == 1)
        _ = bench.legacy(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#, session: session)
        #expect(running.cancels == 1)
    }

    // MARK: GET and DELETE

    private func get(_ session: String?, accept: String = "text/event-stream", last: String? = nil, verb: FrontRequest.Verb = .get)
        -> RecordingExchange
    {
        var request = FrontRequest(verb: verb)
        request.accept = accept
        request.sessionID = session
        request.lastEventID = last
        request.protocolVersion = "2025-06-18"
        return bench.send(request)
    }

    @Test(.tags(.failure07, .failure26)) func newStreamTakesOver() {
        let session = bench.open()
        let first = get(session)
        #expect(first.isOpen && !first.isClosed)
        let second = get(session)
        #expect(first.isClosed && second.isOpen && !second.isClosed)
        first.onClientGone?()
        bench.front.closeAll()
        #expect(second.isClosed)
    }

    @Test(.tags(.failure26)) func streamsNeedASessionAndAccept() {
        let session = bench.open()
        #expect(get(nil).status == 400)
        #expect(get("nope").status == 404)
        #expect(get(session, accept: "application/json").status == 406)
        #expect(get(session, last: "7").status == 400)
        #expect(get(session, verb: .other).status == 405)
    }

    @Test(.tags(.failure07)) func deleteEndsEverything() {
        let session = bench.open()
        let running = call(session)
        let stream = get(session)
        #expect(get(session, verb: .delete).status == 200)
        #expect(bench.service.calls.first?.cancels == 1 && running.isClosed && stream.isClosed)
        #expect(call(session).status == 404 && get(session, verb: .delete).status == 404)
        #expect(get(nil, verb: .delete).status == 400)
    }

    // MARK: Batches

    @Test func answersABatchTogether() throws {
        let session = bench.open(version: "2025-03-26")
        let exchange = bench.legacy(
            #"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":"c","method":"tools/list"},{"id":3}]"#,
            session: session)
        #expect(exchange.status == nil)
        let call = try #require(bench.service.calls.first)
        #expect(call.sink.notification(ByteBuffer(string: "{}")) == .more)
        call.sink.finish(.result(ByteBuffer(string: #"{"tools":[]}"#)))
        #expect(exchange.status == 200)
        #expect(exchange.json?.arrayValue?.map { $0["id"]?.text } == ["1", "3", "\"c\""])
        #expect(bench.legacy(#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#, session: session).status == 202)
        #expect(bench.legacy("[]", session: session).status == 400)
    }

    @Test func batchesBelongToOneRevision() {
        #expect(bench.legacy(#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, session: bench.open()).status == 400)
        #expect(bench.legacy(#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, session: nil).status == 400)
    }
}
