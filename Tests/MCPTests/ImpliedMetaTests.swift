import JSONText
import NIOCore
import Testing

@testable import MCP

/// What a session implies is said in a request without reading it again: the outcome must be what reading it finds.
@Suite struct ImpliedMetaTests {
    private static let implied = ImpliedMeta(
        capabilities: ByteBuffer(string: #"{"roots":{}}"#), clientInfo: ByteBuffer(string: #"{"name":"c","version":"1"}"#))

    static let requests = [
        #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":[1,{"b":2}]}}}"#,
        #"{"params":{"arguments":{},"name":"t"},"id":"x","method":"tools/call","jsonrpc":"2.0"}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///é","_meta":{"progressToken":"p","traceparent":"00","k":1}}}"#,
        #"{"jsonrpc":"2.0","method":"prompts/get","params":{"_meta":{"progressToken":7},"name":"p"},"id":2}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{ }}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{}, "cursor":"c"}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t","requestState":"s","inputResponses":{"q":{}},"notifications":{}}}"#,
    ]

    @Test(arguments: requests) func isWhatReadingFinds(text: String) throws {
        let request = try MCPRequest(message: ByteBuffer(string: "  " + text).slice(JSONSpan(start: 2, end: 2 + text.utf8.count)))
        let said = Self.implied.said(in: request, logLevel: "info")
        #expect(said.envelope == (try EnvelopeScanner.scan(said.message.readableBytesSpan)))
        #expect(said.envelope.protocolVersion == "2026-07-28" && said.envelope.logLevel == "info" && said.method == request.method)
        let implied = try #require(said.implied)
        var splice = Splice()
        splice.remove(implied)
        #expect(said.message.applying(splice).text == text)
    }

    @Test func withoutAClientInfo() throws {
        let request = try MCPRequest(message: ByteBuffer(string: Self.requests[0]))
        let said = ImpliedMeta(capabilities: ByteBuffer(string: "{}"), clientInfo: nil).said(in: request, logLevel: "debug")
        #expect(said.envelope == (try EnvelopeScanner.scan(said.message.readableBytesSpan)))
        #expect(said.envelope.clientInfo == nil && said.envelope.logLevel == "debug")
    }

    /// What a client of these revisions has no say in, however it spells it.
    @Test(arguments: [
        #"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"1","k":1}}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"k":1,"io.modelcontextprotocol/other":{}}}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"k":1,"\u0069o.modelcontextprotocol/logLevel":"error"}}}"#,
    ]) func whatIsNotItsToSayIsTakenOut(text: String) throws {
        let said = Self.implied.said(in: try MCPRequest(message: ByteBuffer(string: text)), logLevel: "info")
        let meta = try #require(said.envelope.meta)
        let value = try JSONValue(parsing: said.slice(meta).readableBytesSpan)
        #expect(
            Set(value.objectValue?.members.map(\.key) ?? []) == [
                "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/clientInfo",
                "io.modelcontextprotocol/logLevel", "k",
            ])
        #expect(said.envelope.logLevel == "info" && said.implied == nil)
    }

    /// What a client says of itself is kept for its session, and must be readable a level deeper.
    @Test func whatIsDeclaredIsBounded() {
        func open(_ capabilities: String) -> Int? {
            FrontBench().legacy(
                #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":\#(capabilities),"clientInfo":{}}}"#,
                session: nil
            ).errorCode
        }
        func nested(_ depth: Int) -> String { String(repeating: #"{"x":"#, count: depth) + "{}" + String(repeating: "}", count: depth) }
        #expect(open(nested(20)) == nil)
        #expect((50...70).contains { open(nested($0)) == nil } && (50...70).allSatisfy { [nil, -32602, -32600, -32700].contains(open(nested($0))) })
        for depth in 50...70 where open(nested(depth)) == nil {
            let request = ImpliedMeta(capabilities: ByteBuffer(string: nested(depth)), clientInfo: nil)
            #expect(request.isReadable)
        }
        #expect(open(#"{"x":"\#(String(repeating: "x", count: 70_000))"}"#) == -32602)
    }

    @Test func aRequestWithoutParametersGetsThem() throws {
        let said = Self.implied.said(in: try MCPRequest(message: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)), logLevel: "info")
        #expect(said.envelope.protocolVersion == "2026-07-28" && said.envelope.params != nil)
    }
}
