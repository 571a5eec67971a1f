import MCP
import NIOCore
import Testing

@Suite struct FrontRequestTests {
    private func request(_ headers: [String: [String]], method: String = "POST") -> FrontRequest? {
        let fields = headers.flatMap { name, values in values.map { (name: name, value: $0) } }
        return FrontRequest(method: method, body: ByteBuffer(string: "{}"), fields: fields, headers: { headers[$0] ?? [] })
    }

    @Test func readsTheHeadersThatMCPKnows() throws {
        let read = try #require(
            request([
                "accept": ["application/json", "text/event-stream"], "content-type": ["application/json"], "mcp-protocol-version": ["v"],
                "mcp-session-id": ["s"], "Mcp-Method": ["tools/call"], "MCP-NAME": ["echo"], "last-event-id": ["7"], "mcp-n@me": ["x"],
            ]))
        #expect(read.verb == .post && read.body == ByteBuffer(string: "{}"))
        #expect(read.accept == "application/json, text/event-stream" && read.contentType == "application/json")
        #expect(read.protocolVersion == "v" && read.sessionID == "s" && read.mcpMethod == "tools/call" && read.mcpName == "echo")
        #expect(read.lastEventID == "7")
        let bare = try #require(request([:], method: "GET"))
        #expect(bare.verb == .get && bare.accept == nil && bare.sessionID == nil)
        #expect(request([:], method: "DELETE")?.verb == .delete && request([:], method: "PUT")?.verb == .other)
    }

    @Test(arguments: ["content-type", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "last-event-id"])
    func oneValueCountsHoweverOftenItStandsThere(name: String) {
        #expect(request([name: ["a", "a"]]) != nil)
        #expect(request([name: ["a", "b"]]) == nil)
    }

    /// What a proxy makes of two equal headers.
    @Test(arguments: [("2025-11-25, 2025-11-25", "2025-11-25"), ("2025-11-25,2025-06-18", "2025-11-25,2025-06-18"), (",", ",")])
    func versionsThatAProxyJoinedAreOne(_ header: String, _ read: String) {
        #expect(request(["mcp-protocol-version": [header]])?.protocolVersion == read)
    }
}
