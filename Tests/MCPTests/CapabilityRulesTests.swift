import JSONText
import NIOCore
import Testing

@testable import MCP

/// What a client may declare: a server that validates refuses the rest, and with it whoever waits for the same handshake.
struct CapabilityRulesTests {
    @Test(arguments: [
        ("{}", nil), (#"{"roots":{}}"#, nil), (#"{"roots":{"listChanged":true,"x":1}}"#, nil), (#"{"mine":7,"sampling":{"tools":{}}}"#, nil),
        (#"{"elicitation":{"form":{},"url":{"a":1}},"experimental":{"a":{}},"extensions":{"b/c":{"d":[1]}}}"#, nil), (#"{"tasks":{"list":{}}}"#, nil),
        (#"{"roots":true}"#, ".roots must be an object"), (#"{"roots":{"listChanged":"notabool!"}}"#, ".roots.listChanged must be true or false"),
        (#"{"roots":{"listChanged":null},"sampling":null}"#, nil), (#"{"sampling":[]}"#, ".sampling must be an object"),
        (#"{"sampling":{"tools":1}}"#, ".sampling.tools must be an object"), (#"{"elicitation":{"url":""}}"#, ".elicitation.url must be an object"),
        (#"{"experimental":{"a":1}}"#, ".experimental: each member must be an object"), (#"{"extensions":{"a":{},"a":{}}}"#, ".extensions names something twice"),
        (#"{"roots":{},"roots":{}}"#, " has roots twice"), (#"{"r\u006fots":3}"#, ".roots must be an object"),
        (#"{"roots":{"listChanged":true,"listChanged":false}}"#, ".roots has listChanged twice"),
    ] as [(String, String?)]) func isRefusedByName(declared: String, fault: String?) {
        let text = ByteBuffer(string: declared)
        #expect(CapabilityRules.fault(in: JSONSpan(start: 0, end: text.readableBytes), of: text.readableBytesSpan) == fault)
        // Both eras say it, and nobody is called.
        let bench = FrontBench()
        let meta = FrontBench.meta.replacing(#"{"elicitation":{}}"#, with: declared)
        let modern = bench.modern("tools/list", meta: meta)
        let legacy = bench.legacy(
            #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":\#(declared),"clientInfo":{"name":"c","version":"1"}}}"#,
            session: nil)
        #expect(bench.service.calls.count == (fault == nil ? 1 : 0))
        #expect((legacy.header("Mcp-Session-Id") == nil) == (fault != nil))
        if let fault {
            #expect(legacy.json?["error"]?["message"] == .string("Invalid params: params.capabilities\(fault)"))
            #expect(modern.status == 400 && modern.errorCode == -32602)
        }
    }

    @Test func isBounded() {
        let bench = FrontBench()
        let declared = #"{"experimental":{"a":{"b":"\#(String(repeating: "x", count: 64 << 10))"}}}"#
        #expect(bench.modern("tools/list", meta: FrontBench.meta.replacing(#"{"elicitation":{}}"#, with: declared)).errorCode == -32602)
        #expect(bench.service.calls.isEmpty)
    }
}
