import JSONText
import MCP
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@Suite struct ModernFrontTests {
    let bench = FrontBench()

    @Test(arguments: ["1", "\"1\"", "-5", #""a\u00e9""#]) func answersJSONUnderTheClientsID(id: String) throws {
        let exchange = bench.modern("tools/call", id: id, params: #""name":"t","arguments":{"x":1}"#, name: "t")
        let call = try #require(bench.service.calls.first)
        #expect(call.request.method == "tools/call" && call.request.name == "t" && call.request.arguments?.text == #"{"x":1}"#)
        #expect(call.context.clientCapabilities?.text == #"{"elicitation":{}}"#)
        #expect(call.context.session == SessionKey(id: "modern:ann"))
        #expect(exchange.status == nil && bench.front.callsInFlight == 1)
        call.sink.finish(.result(ByteBuffer(string: #"{"content":[]}"#)))
        #expect(exchange.status == 200 && exchange.header("Content-Type") == "application/json" && !exchange.isOpen)
        #expect(exchange.body?.contains("\"id\":\(id),") == true)
        #expect(
            exchange.json?["result"]?.text
                == #"{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"fake","version":"9"}},"content":[]}"#)
        #expect(bench.front.callsInFlight == 0)
    }

    @Test func streamsWhenANotificationComesFirst() throws {
        let exchange = bench.modern("tools/call", id: "4", params: #""name":"t""#, name: "t")
        let call = try #require(bench.service.calls.first)
        let progress = #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"x","progress":1}}"#
        #expect(call.sink.notification(ByteBuffer(string: progress)) == .more)
        #expect(exchange.isOpen && exchange.events == [progress])
        call.sink.finish(.error(.invalidParams("no")))
        #expect(exchange.lastEvent?["error"]?["code"]?.intValue == -32602 && exchange.lastEvent?["id"]?.intValue == 4)
        #expect(exchange.isClosed && exchange.status == 200)
    }

    @Test(.tags(.failure14)) func turnsToAStreamAfterASilence() throws {
        let exchange = bench.modern("tools/call", params: #""name":"t""#, name: "t")
        bench.service.loop.advanceTime(by: .seconds(9))
        #expect(!exchange.isOpen)
        bench.service.loop.advanceTime(by: .seconds(1))
        #expect(exchange.isOpen && exchange.events.isEmpty)
        bench.service.calls.first?.sink.finish(.result(ByteBuffer(string: "{}")))
        #expect(exchange.lastEvent?["result"]?["resultType"]?.stringValue == "complete" && exchange.isClosed)
    }

    @Test func serviceMayAnswerBeforeCallReturns() {
        bench.service.atOnce = { $0.sink.finish(.result(ByteBuffer(string: "{}"))) }
        #expect(bench.modern("tools/list").status == 200)
        #expect(bench.front.callsInFlight == 0)
    }

    @Test(.tags(.failure03, .failure19)) func closingTheStreamIsCancel() throws {
        let exchange = bench.modern("tools/call", params: #""name":"t""#, name: "t")
        exchange.onClientGone?()
        let call = try #require(bench.service.calls.first)
        #expect(call.cancels == 1 && exchange.status == nil && bench.front.callsInFlight == 0)
        exchange.onClientGone?()
        #expect(call.cancels == 1)
    }

    @Test(arguments: [(-32601, 404), (-32602, 400), (-32021, 400), (-32603, 200), (1234, 200)]) func mapsErrorsToStatus(code: Int, status: Int) {
        let exchange = bench.modern("tools/list")
        bench.service.calls.first?.sink.finish(.error(MCPError(code: code, message: "m", data: ByteBuffer(string: "[1]"))))
        #expect(exchange.status == status && exchange.json?["error"]?.text == #"{"code":\#(code),"message":"m","data":[1]}"#)
    }

    @Test(arguments: [(Undelivered.Kind.notDelivered, 1001), (.outcomeUnknown, 1002)]) func tellsUndeliveredApart(kind: Undelivered.Kind, code: Int) {
        let exchange = bench.modern("tools/list")
        bench.service.calls.first?.sink.finish(.failed(Undelivered(kind, "why")))
        #expect(exchange.status == 200 && exchange.errorCode == code)
        #expect(exchange.json?["error"]?["data"]?.text == #"{"error":"\#(kind.rawValue)","message":"why"}"#)
    }

    @Test(arguments: ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]) func addsCacheHintsToLists(method: String) throws {
        let exchange = bench.modern(method)
        bench.service.calls.first?.sink.finish(.result(ByteBuffer(string: #"{"x":[],"ttlMs":5,"_meta":{"k":1}}"#)))
        let result = try #require(exchange.json?["result"])
        #expect(result["ttlMs"]?.intValue == 5 && result["cacheScope"]?.stringValue == "private")
        #expect(result["_meta"]?.text == #"{"io.modelcontextprotocol/serverInfo":{"name":"fake","version":"9"},"k":1}"#)
    }

    @Test func leavesCompleteResultsAlone() {
        let exchange = bench.modern("tools/call", params: #""name":"t""#, name: "t")
        let result = #"{ "resultType" : "input_required", "requestState":"s","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"real"}}}"#
        bench.service.calls.first?.sink.finish(.result(ByteBuffer(string: result)))
        #expect(exchange.body?.hasSuffix("\"result\":\(result)}") == true)
    }

    @Test func discoversFromTheHost() throws {
        let exchange = bench.modern("server/discover", id: "\"d\"")
        let result = try #require(exchange.json?["result"])
        #expect(result["supportedVersions"]?.text == #"["2026-07-28"]"# && result["resultType"]?.stringValue == "complete")
        #expect(result["capabilities"]?["tools"] != nil && result["instructions"]?.stringValue == "say \"hi\"")
        #expect(result["ttlMs"]?.intValue == 0 && result["cacheScope"]?.stringValue == "private")
        #expect(result["_meta"]?["io.modelcontextprotocol/serverInfo"]?["name"]?.stringValue == "fake")
        #expect(bench.service.calls.isEmpty)
        bench.host.identityError = .internalError("down")
        #expect(bench.modern("server/discover").errorCode == -32603)
    }

    @Test func passesOnThePauseAndDropsBeyondTheBound() throws {
        let exchange = bench.modern("tools/call", params: #""name":"t""#, name: "t")
        let call = try #require(bench.service.calls.first)
        exchange.demand = .pause
        let note = ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#)
        for _ in 0..<400 { #expect(call.sink.notification(note) == .pause) }
        #expect(exchange.events.count == 257)
        exchange.demand = .more
        exchange.onResume?()
        #expect(call.resumes == 1)
        #expect(call.sink.notification(note) == .more)
        call.sink.finish(.result(ByteBuffer(string: "{}")))
        #expect(exchange.events.count == 259 && exchange.isClosed)
    }

    @Test func otherMethodsPassThrough() {
        _ = bench.modern("completion/complete", params: #""ref":{"type":"ref/prompt","name":"p"}"#)
        #expect(bench.service.calls.first?.request.method == "completion/complete")
    }
}
