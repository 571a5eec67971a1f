import JSONText
import MCP
import NIOCore
import Testing

@Suite struct RequestTests {
    private let text =
        #"{"jsonrpc":"2.0","method":"tools/call","params":{"_meta":{"progressToken":"p","k":1},"name":"a\/b","arguments":{"n":1.0}},"id":"x"}"#

    @Test func renumbersAndRenames() throws {
        let request = try MCPRequest(message: ByteBuffer(string: text))
        #expect(request.name == "a/b" && request.id?.text == "\"x\"" && request.arguments?.text == #"{"n":1.0}"#)
        #expect(
            request.renumbered(id: 7, progressToken: 9).text
                == #"{"jsonrpc":"2.0","method":"tools/call","params":{"_meta":{"progressToken":9,"k":1},"name":"a\/b","arguments":{"n":1.0}},"id":7}"#
        )
        let renamed = request.replacingName("q\"é")
        #expect(renamed.name == "q\"é" && renamed.message.text.contains(#""name":"q\"é""#) && renamed.arguments?.text == #"{"n":1.0}"#)
        #expect(request.replacingURI("u").message == request.message)
    }

    @Test(arguments: [
        (#"{"jsonrpc":"2.0","id":1,"method":"m"}"#, #"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"a":1}}}"#),
        (#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}}"#, #"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"a":1}}}"#),
        (#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"x":2}}"#, #"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"a":1},"x":2}}"#),
        (
            #"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"r":{}, "b":2}}}"#,
            #"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"a":1,"b":2}}}"#
        ),
        (#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"r":{}}}}"#, #"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"a":1}}}"#),
    ]) func rewritesMeta(from: String, to: String) throws {
        let request = try MCPRequest(message: ByteBuffer(string: from)).rewritingMeta(removing: { $0 == "r" }, adding: [("a", Array("1".utf8))])
        #expect(request.message.text == to)
    }

    /// Spans count from the first readable byte, wherever that is in its storage.
    @Test func worksOnSlices() throws {
        var buffer = ByteBuffer(string: "....." + text)
        buffer.moveReaderIndex(forwardBy: 5)
        let request = try MCPRequest(message: buffer)
        #expect(request.arguments?.text == #"{"n":1.0}"# && request.renumbered(id: 1).text.hasSuffix(#""id":1}"#))
    }

    @Test func buildsCompleteRequests() {
        let request = MCPRequest(method: "tools/list", params: ["cursor": "c"])
        #expect(request.envelope.protocolVersion == "2026-07-28" && request.envelope.clientCapabilities != nil && request.envelope.kind == .request)
        #expect(request.message.text.contains(#""cursor":"c""#))
    }

    @Test(arguments: [
        ("{", -32700), (#"{"jsonrpc":"2.0","method":"m"}"#, -32600), ("[]", -32600), (#"{"jsonrpc":"2.0","id":1,"method":"m","params":[]}"#, -32602),
    ])
    func refuses(text: String, code: Int) {
        #expect(throws: MCPError.self) { try MCPRequest(message: ByteBuffer(string: text)) }
        do { _ = try MCPRequest(message: ByteBuffer(string: text)) } catch { #expect(error.code == code) }
    }
}
