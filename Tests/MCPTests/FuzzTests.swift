import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

/// Whatever arrives, every request is answered or under way, every call finished at most once, and nothing crashes.
@Suite struct FuzzTests {
    private struct Seeded: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state &* 0x2545_F491_4F6C_DD1D
        }
    }

    private static let fragments = [
        #""id":1"#, #""id":"x""#, #""id":null"#, #""id":4"#, #""method":"tools/call""#, #""method":"notifications/cancelled""#,
        #""method":"initialize""#,
        #""method":"notifications/progress""#, #""method":"notifications/message""#, #""method":"ping""#,
        #""result":{"supportedVersions":["2026-07-28"]}"#,
        #""result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{}}"#, #""error":{"code":-32601}"#, #""error":{}"#, #""result":[]"#,
        #""params":{"name":"t","_meta":{"progressToken":1}}"#, #""params":{"requestId":1,"progressToken":2,"level":"error"}"#, #""params":null"#,
        #""params":{"protocolVersion":"2025-03-26","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
    ]

    private func message(_ random: inout Seeded) -> [UInt8] {
        let members = Self.fragments.shuffled(using: &random).prefix(Int.random(in: 0...4, using: &random))
        var bytes = Array(("{" + ([#""jsonrpc":"2.0""#] + members).joined(separator: ",") + "}").utf8)
        if Int.random(in: 0..<3, using: &random) == 0 { bytes = Array("[".utf8) + bytes + Array("]".utf8) }
        for _ in 0..<Int.random(in: 0...2, using: &random) where bytes.count > 2 {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            if Bool.random(using: &random) { bytes.remove(at: index) } else { bytes[index] = UInt8.random(in: 0...255, using: &random) }
        }
        return bytes
    }

    @Test(arguments: 1...20) func everyPostIsAnsweredOrUnderWay(seed: UInt64) {
        var random = Seeded(state: seed &* 0x9E37_79B9_7F4A_7C15)
        let bench = FrontBench()
        let sessions = [bench.open(), bench.open(version: "2025-03-26")]
        for _ in 0..<200 {
            var request = bench.legacyRequest("", session: ([nil, "gone"] + sessions.map(Optional.some)).randomElement(using: &random) ?? nil)
            request.body = ByteBuffer(bytes: message(&random))
            request.protocolVersion = [nil, "2025-03-26", "2026-07-28", "x"].randomElement(using: &random) ?? nil
            request.mcpMethod = [nil, "tools/call"].randomElement(using: &random) ?? nil
            let before = bench.front.callsInFlight
            let exchange = bench.send(request)
            let isUnderWay = bench.front.callsInFlight > before
            #expect(exchange.status != nil || isUnderWay, "\(String(buffer: request.body))")
        }
        for call in bench.service.calls where call.cancels == 0 { call.sink.finish(.result(ByteBuffer(string: "{}"))) }
        #expect(bench.front.callsInFlight == 0)
    }

    @Test(.tags(.failure07, .failure10), arguments: 1...20) func anyOutputOfAChildIsSurvived(seed: UInt64) throws {
        var random = Seeded(state: seed &* 0x9E37_79B9_7F4A_7C15)
        var bench = BackBench(era: [.auto, .legacy, .modern].randomElement(using: &random) ?? .auto)
        for call in 0..<200 {
            switch Int.random(in: 0..<12, using: &random) {
            case 0: bench.perform(bench.back.cancel(CallID(Int.random(in: 0...200, using: &random))))
            case 1: bench.perform(bench.back.timerFired([.probe, .handshake].randomElement(using: &random) ?? .probe))
            case 2: bench.perform(bench.back.receivedOversized(prefix: ByteBuffer(bytes: message(&random).prefix(20))))
            case 3, 4: try bench.send(call)
            default: bench.perform(bench.back.received(line: ByteBuffer(bytes: message(&random))))
            }
        }
        bench.perform(bench.back.closed(reason: "end"))
        bench.perform(bench.back.closed(reason: "end"))
        if bench.log.last == "restart" {
            bench.perform(bench.back.start())
            bench.perform(bench.back.closed(reason: "end"))
        }
        #expect(bench.back.callsInFlight == 0)
    }
}
