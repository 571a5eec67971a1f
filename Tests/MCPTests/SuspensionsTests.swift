import NIOCore
import Testing

@testable import MCP

/// What is kept for clients that may never come back keeps nothing else in memory.
@Suite struct SuspensionsTests {
    private static let small = 1024
    private static let padding = String(repeating: "x", count: 1 << 20)

    private func request(_ members: String) throws -> MCPRequest {
        try MCPRequest(message: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t",\#(members)}}"#))
    }

    @Test(arguments: ["error", "result"]) func anOutcomeKeepsNothingOfTheLineItCameIn(kind: String) throws {
        let line = ByteBuffer(string: #"{"a":1}"# + Self.padding)
        let part = try #require(line.getSlice(at: 0, length: 7))
        #expect(part.storageCapacity > 1 << 20)
        var suspensions = Suspensions()
        suspensions.put(Suspensions.Entry(id: 1, method: "tools/call", arguments: 0, client: ClientName(nil), questions: []), under: "h")
        suspensions.settle(1, kind == "error" ? .error(MCPError(code: 1, message: "m", data: part)) : .result(part))
        switch suspensions.peek("h")?.outcome {
        case .error(let error): #expect(error.data == part && (error.data?.storageCapacity ?? .max) <= Self.small)
        case .result(let result): #expect(result == part && result.storageCapacity <= Self.small)
        default: Issue.record("nothing is kept")
        }
    }

    @Test func aCallThatWaitsKeepsNothingOfItsRequest() throws {
        var correlator = Correlator()
        let meta = #""_meta":{"io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/clientInfo":{"name":"a"}}"#
        let id = correlator.open(CallID(1), try request(#""arguments":{"a":"\#(Self.padding)"},\#(meta)"#))
        #expect(correlator.detach(id: id) == CallID(1))
        let entry = try #require(correlator[id])
        #expect(entry.arguments == nil)
        #expect(entry.capabilities == ByteBuffer(string: #"{"roots":{}}"#) && (entry.capabilities?.storageCapacity ?? .max) <= Self.small)
        #expect(entry.clientInfo == ByteBuffer(string: #"{"name":"a"}"#) && (entry.clientInfo?.storageCapacity ?? .max) <= Self.small)
    }

    /// An error's `data` counts like a result.
    @Test func whatErrorsCarryIsBounded() {
        var suspensions = Suspensions()
        let large = ByteBuffer(repeating: 0x20, count: 9 << 20)
        for id in 1...2 {
            suspensions.put(Suspensions.Entry(id: id, method: "tools/call", arguments: 0, client: ClientName(nil), questions: []), under: "\(id)")
            suspensions.settle(id, .error(MCPError(code: 1, message: "m", data: large)))
        }
        let kept = (1...2).map { id -> Int? in
            guard case .error(let error) = suspensions.peek("\(id)")?.outcome else { return nil }
            return error.data?.readableBytes
        }
        #expect(kept == [9 << 20, nil] && !suspensions.hasRoom(for: large, of: ByteBuffer()))
    }
}
