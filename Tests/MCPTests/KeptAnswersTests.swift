import JSONText
import MCP
import NIOCore
import Testing

/// What a process had answered when it ended.
extension BackInputTests {
    @Test func deathForgetsWhoWaits() throws {
        var (bench, _) = try started()
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        _ = try required(bench, 1)
        bench.perform(bench.back.closed(reason: "killed"))
        #expect(bench.back.suspendedCount == 0 && bench.finished.count == 1 && bench.log.contains { $0.hasPrefix("disarm input") })
    }

    /// What a process had answered is there for whoever comes, once.
    @Test func whatWasAnsweredOutlivesTheConversation() throws {
        var bench = try BackBench(ready: .legacy)
        for call in 1...2 { try bench.send(call, Self.call()) }
        let ids = try (1...2).map { _ in try bench.next("id").text }
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":"e2",\#(Self.elicit)}"#)
        let (answered, open) = (try required(bench, 1), try required(bench, 2))
        try bench.send(3, Self.retry(answered.state, #"{"berth/wait":{}}"#))
        try bench.send(4, Self.retry(open.state, #"{"berth/wait":{}}"#))
        bench.receive(#"{"jsonrpc":"2.0","id":\#(ids[0]),"result":{"done":1}}"#)
        #expect(bench[3] == nil)
        var (kept, actions) = bench.back.processEnded()
        bench.perform(actions)
        #expect(bench[3] == #"{"resultType":"berth/settled"}"# && bench[4] == nil)
        // Nor does anybody wait any more for what is not there: it would be for ever.
        try bench.send(5, Self.retry(open.state, #"{"berth/wait":{}}"#))
        #expect(bench[5]?.hasPrefix("error -32602") == true && bench.back.suspendedCount == 0)
        #expect(!bench.timers.contains { if case .input = $0 { true } else { false } })

        func atHand(_ state: String, _ name: String = "t", _ responses: String = "{}") throws -> String? {
            let message = #"{"jsonrpc":"2.0","id":1,\#(Self.retry(state, responses, name: name))}"#
            return kept.answer(to: try MCPRequest(message: ByteBuffer(string: message))).map { BackBench.describe($0) }
        }
        #expect(try atHand(open.state) == nil && atHand(answered.state, "other") == nil)
        #expect(try atHand(answered.state, "t", #"{"berth/wait":{}}"#) == #"{"resultType":"berth/settled"}"#)
        #expect(try atHand(answered.state) == #"{"done":1}"#)
        #expect(try atHand(answered.state) == nil && kept.isEmpty)
    }

    /// Of the processes before it as much is kept as one may be owed.
    @Test func answersOfManyProcessesAreBounded() throws {
        func answered(_ bytes: Int) throws -> (KeptAnswers, MCPRequest) {
            var bench = try BackBench(ready: .legacy)
            try bench.send(1, Self.call())
            let id = try bench.next("id").text
            bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
            let state = try required(bench, 1).state
            bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{"x":"\#(String(repeating: "x", count: bytes))"}}"#)
            let retry = try MCPRequest(message: ByteBuffer(string: #"{"jsonrpc":"2.0","id":1,\#(Self.retry(state, "{}"))}"#))
            return (bench.back.processEnded().kept, retry)
        }
        var kept = KeptAnswers()
        let all = try [9 << 20, 9 << 20, 10].map(answered)
        for (answers, _) in all { kept.add(answers) }
        #expect(kept.answer(to: all[0].1) == nil && kept.answer(to: all[1].1) != nil && kept.answer(to: all[2].1) != nil)
    }

    @Test func questionsAndOutcomesThatAreKeptAreBounded() throws {
        var bench = try BackBench(ready: .legacy)
        for call in 1...3 { try bench.send(call, Self.call()) }
        let ids = try (1...3).map { _ in try bench.next("id").text }
        let long = String(repeating: "x", count: 9 << 20)
        for question in 1...2 {
            bench.receive(#"{"jsonrpc":"2.0","id":\#(question),"method":"elicitation/create","params":{"message":"\#(long)","requestedSchema":{}}}"#)
        }
        // The second would be too much, and is refused.
        #expect(try bench.next()["error"]?["code"]?.intValue == -32603 && bench.back.suspendedCount == 1)
        let (state, _) = try required(bench, 1)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(ids[0]),"result":{"x":"\#(long)"}}"#)
        try bench.send(9, Self.retry(state, "{}"))
        #expect(bench[9]?.hasPrefix("error -32603") == true)
    }

    /// A list may end with a question too, to a client of the handshake revisions.
    @Test func aListThatAskedGoesOn() throws {
        var bench = try BackBench(ready: .legacy)
        func list(_ more: String = "") -> String {
            let meta = #""io.modelcontextprotocol/clientCapabilities":\#(Self.able)"#
            return #""method":"tools/list","params":{"_meta":{\#(meta)}\#(more)}"#
        }
        try bench.send(1, list())
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":"e1",\#(Self.elicit)}"#)
        let (state, requests) = try required(bench, 1)
        let key = try #require(requests.objectValue?.keys.first)
        try bench.send(2, list(#","requestState":\#(state),"inputResponses":{"berth/wait":{}}"#))
        #expect(bench[2] == nil && bench.lines.isEmpty)
        try bench.send(3, list(#","requestState":\#(state),"inputResponses":{"\#(key)":\#(Self.accept)}"#))
        #expect(try bench.next()["result"]?["action"] == "accept" && bench[2] == #"{"resultType":"berth/settled"}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{"tools":[]}}"#)
        #expect(bench[3] == #"{"tools":[]}"#)
    }
}
