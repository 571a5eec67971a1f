import JSONText
import MCP
import NIOCore
import Testing

/// A server of 2025-11-25 that wants URLs to be opened before it does what it was asked (-32042).
@Suite struct URLElicitationTests {
    let bench = FrontBench()

    private static let able = FrontBench.meta.replacing(#"{"elicitation":{}}"#, with: #"{"elicitation":{"url":{}}}"#)

    private static func required(
        _ data: String? = #"{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://a.test/1","message":"sign in"},"# +
            #"{"url":"https://b.test"},{}]}"#
    ) -> MCPOutcome {
        .error(MCPError(code: -32042, message: "URL elicitation required", data: data.map(ByteBuffer.init(string:))))
    }

    private func call(_ method: String = "tools/call", _ meta: String = able, more: String = "") -> RecordingExchange {
        bench.modern(method, params: #""name":"t"\#(more)"#, meta: meta, name: method == "tools/call" ? "t" : nil)
    }

    @Test func aModernClientIsAskedAndCallsAgain() throws {
        let exchange = call()
        try #require(bench.service.calls.last).sink.finish(Self.required())
        let result = try #require(exchange.json?["result"])
        #expect(exchange.status == 200 && result["resultType"] == "input_required" && result["requestState"] == nil)
        #expect(
            result["inputRequests"]?.text
                == #"{"url1":{"method":"elicitation/create","params":{"mode":"url","message":"sign in","url":"https://a.test/1"}},"# +
                #""url2":{"method":"elicitation/create","params":{"mode":"url","message":"URL elicitation required","url":"https://b.test"}}}"#)
        // Its answer is the call again, of which a server of that revision sees no answer.
        let again = call(more: #","inputResponses":{"url1":{"action":"accept"}}"#)
        #expect(bench.service.calls.count == 2)
        var back = try BackBench(ready: .legacy, version: "2025-11-25")
        back.perform(back.back.send(try #require(bench.service.calls.last).request, call: CallID(1)))
        #expect(try back.next("params").text == #"{"name":"t","_meta":{}}"#)
        try #require(bench.service.calls.last).sink.finish(.result(ByteBuffer(string: #"{"content":[]}"#)))
        #expect(again.json?["result"]?["resultType"] == "complete")
    }

    @Test(arguments: ["{}", #"{"elicitation":{}}"#]) func whoDidNotDeclareItIsToldWhatIsMissing(capabilities: String) throws {
        let exchange = call("tools/call", FrontBench.meta.replacing(#"{"elicitation":{}}"#, with: capabilities))
        try #require(bench.service.calls.last).sink.finish(Self.required())
        #expect(exchange.status == 400 && exchange.errorCode == -32021)
        #expect(exchange.json?["error"]?["data"]?.text == #"{"requiredCapabilities":{"elicitation":{"url":{}}}}"#)
    }

    @Test(arguments: [nil, "{}", #"{"elicitations":{}}"#, #"{"elicitations":[{"url":1}]}"#]) func whatNamesNoURLIsAnError(data: String?) throws {
        let exchange = call()
        try #require(bench.service.calls.last).sink.finish(Self.required(data))
        #expect(exchange.errorCode == -32603)
    }

    /// Of a modern client's requests only three may end with a question.
    @Test func whereNobodyCanBeAsked() throws {
        let exchange = call("tools/list")
        try #require(bench.service.calls.last).sink.finish(Self.required())
        #expect(exchange.errorCode == -32603)
    }

    /// It is a legacy client's own.
    @Test func aLegacyClientGetsItAsItIs() throws {
        let session = bench.open(version: "2025-11-25", capabilities: #"{"elicitation":{"url":{}}}"#)
        let exchange = bench.legacy(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#, session: session)
        try #require(bench.service.calls.last).sink.finish(Self.required())
        #expect(exchange.errorCode == -32042 && exchange.json?["error"]?["data"]?["elicitations"]?[0]?["elicitationId"] == "e")
    }
}
