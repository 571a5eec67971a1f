import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@Suite struct BackCallTests {
    private static let meta =
        #""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":"mine","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/logLevel":"warning","traceparent":"00-1"}"#
    private static let call = #""method":"tools/call","params":{"name":"t","arguments":{"progressToken":5},\#(meta)}"#

    @Test func legacyChildrenSeeOnlyTheirDialect() throws {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1, Self.call, id: "\"client\"")
        let level = try bench.next()
        #expect(level["method"]?.stringValue == "logging/setLevel" && level["params"]?.text == #"{"level":"warning"}"#)
        let line = try bench.next()
        let id = try #require(line["id"]?.intValue)
        #expect(line["params"]?.text == #"{"name":"t","arguments":{"progressToken":5},"_meta":{"progressToken":\#(id),"traceparent":"00-1"}}"#)
        try bench.send(2, Self.call)
        #expect(try bench.next("method").stringValue == "tools/call", "a level is set once")
        bench.receive(#"{"jsonrpc":"2.0","id":\#(level["id"]?.text ?? ""),"result":{}}"#)
        #expect(bench.finished.isEmpty)
    }

    /// Revision 2025-03-26 has batches, which a client must take; no other has.
    @Test(arguments: [("2025-03-26", 2), ("2025-06-18", 0)]) func answersOfABatchAreEachTheirCalls(_ version: String, _ answered: Int) throws {
        var bench = try BackBench(ready: .legacy, version: version)
        var ids: [String] = []
        for call in 1...2 {
            try bench.send(call)
            ids.append(try bench.next("id").text)
        }
        bench.receive("[" + ids.map { #"{"jsonrpc":"2.0","id":\#($0),"result":{"of":\#($0)}}"# }.joined(separator: ",") + "]")
        #expect(bench.finished.count == answered)
    }

    @Test func modernChildrenGetWhatTheRevisionRequires() throws {
        var bench = try BackBench(ready: .modern)
        try bench.send(1, Self.call, id: "\"client\"")
        let line = try bench.next()
        let id = try #require(line["id"]?.intValue)
        #expect(
            line["params"]?["_meta"]?["progressToken"]?.intValue == id
                && line["params"]?["_meta"]?["io.modelcontextprotocol/logLevel"]?.stringValue == "warning")
        try bench.send(2, #""method":"tools/list""#)
        let meta = try bench.next("params")["_meta"]
        #expect(
            meta?["io.modelcontextprotocol/protocolVersion"]?.stringValue == "2026-07-28"
                && meta?["io.modelcontextprotocol/clientCapabilities"] == [:])
        #expect(meta?["io.modelcontextprotocol/clientInfo"]?["name"]?.stringValue == "berth")
    }

    @Test(.tags(.failure18), arguments: [Era.legacy, .modern]) func equalClientIDsNeverMix(era: Era) throws {
        var bench = try BackBench(ready: era)
        let count = 200
        for call in 0..<count { try bench.send(call, id: "1") }
        let ids = try bench.lines.map { try #require($0["id"]?.intValue) }
        #expect(Set(ids).count == count)
        for (call, id) in ids.enumerated().reversed() { bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{"for":\#(call)}}"#) }
        for call in 0..<count { #expect(bench[call] == #"{"for":\#(call)}"#) }
        #expect(bench.back.callsInFlight == 0)
    }

    @Test func progressComesBackUnderTheCallersToken() throws {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1, Self.call)
        try bench.send(2, #""method":"tools/call","params":{"name":"t","_meta":{"progressToken":7}}"#)
        try bench.send(3)
        let ids = try bench.lines.filter { $0["method"]?.stringValue == "tools/call" }.map { try #require($0["id"]?.intValue) }
        for id in ids { bench.receive(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":0.5,"progressToken":\#(id)}}"#) }
        #expect(bench.notified.map(\.0) == [CallID(1), CallID(2)], "the third asked for no progress")
        #expect(bench.notified.map { $0.1["params"]?["progressToken"]?.text } == ["\"mine\"", "7"])
        bench.receive(#"{"jsonrpc":"2.0","id":\#(ids[0]),"result":{}}"#)
        bench.receive(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":\#(ids[0])}}"#)
        bench.receive(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":"\#(ids[1])"}}"#)
        #expect(bench.notified.count == 2 && bench.back.counters.droppedNotifications == 3)
    }

    @Test func logsGoToACallThatAskedForThem() throws {
        var bench = try BackBench(ready: .legacy)
        func log(_ level: String) -> String { #"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"\#(level)","data":"x"}}"# }
        bench.receive(log("error"))
        try bench.send(1, Self.call)
        bench.receive(log("error"))
        bench.receive(log("info"))
        #expect(bench.notified.map(\.0) == [CallID(1)], "info is below the level asked for")
        try bench.send(2, Self.call)
        bench.receive(log("error"))
        #expect(bench.notified.map(\.0) == [CallID(1), CallID(1)], "its client hears it under any of its calls")
        bench.perform(bench.back.cancel(CallID(1)))
        bench.receive(log("error"))
        #expect(bench.notified.last?.0 == CallID(2))
        // One that wants none may be what it is about.
        try bench.send(3)
        bench.receive(log("error"))
        #expect(bench.notified.count == 3)
        var silent = try BackBench(ready: .legacy)
        try silent.send(1)
        silent.receive(log("error"))
        #expect(silent.notified.isEmpty, "not asked for")
    }

    @Test(arguments: [Era.legacy, .modern]) func aSubscriptionTakesNoLogs(era: Era) throws {
        var bench = try BackBench(ready: era)
        try bench.send(1, #""method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}"#)
        try bench.send(2, Self.call)
        bench.notified = []
        bench.receive(#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"x"}}"#)
        #expect(bench.notified.map(\.0) == [CallID(2)])
    }

    @Test func aSharedChildsLogsAreNobodysWhenSeveralCall() throws {
        var bench = try BackBench(ready: .legacy, canAsk: false)
        let log = #"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"x"}}"#
        try bench.send(1, Self.call)
        bench.receive(log)
        #expect(bench.notified.map(\.0) == [CallID(1)])
        try bench.send(2, Self.call)
        bench.receive(log)
        #expect(bench.notified.count == 1)
        bench.receive(#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#)
        #expect(bench.lines.last?["error"]?["code"] == -32601)
    }

    /// Clients that have no sessions share a process: what one's call logs is not the other's to hear.
    @Test func logsAreNobodysWhenSeveralClientsCall() throws {
        var bench = try BackBench(ready: .legacy)
        let log = #"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"x"}}"#
        for (call, name) in [(1, "a"), (2, "a"), (3, "b")] {
            let meta = #""io.modelcontextprotocol/logLevel":"info","io.modelcontextprotocol/clientInfo":{"name":"\#(name)"}"#
            try bench.send(call, #""method":"tools/call","params":{"name":"t","_meta":{\#(meta)}}"#)
            bench.receive(log)
        }
        #expect(bench.notified.map(\.0) == [CallID(1), CallID(1)])
    }

    @Test(.tags(.failure21)) func listChangesAreForEverybody() throws {
        var bench = try BackBench(ready: .modern)
        let message = #"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#
        bench.receive(message)
        #expect(bench.log == ["broadcast \(message)"])
    }

    @Test(.tags(.failure19), arguments: [Era.legacy, .modern]) func cancelNamesTheUpstreamID(era: Era) throws {
        var bench = try BackBench(ready: era)
        try bench.send(1, id: "\"client\"")
        let id = try bench.next("id").text
        bench.perform(bench.back.cancel(CallID(1)))
        let cancelled = try bench.next()
        #expect(cancelled["method"]?.stringValue == "notifications/cancelled" && cancelled["params"]?["requestId"]?.text == id)
        #expect(bench[1] == "outcome_unknown")
        bench.perform(bench.back.cancel(CallID(1)))
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{}}"#)
        #expect(bench.lines.isEmpty && bench.back.counters.lateAnswers == 1)
    }

    @Test func cancelBeforeTheHandshakeSendsNothing() throws {
        var bench = BackBench()
        try bench.send(1)
        bench.lines = []
        bench.perform(bench.back.cancel(CallID(1)))
        #expect(bench[1] == "not_delivered" && bench.lines.isEmpty && bench.back.callsInFlight == 0)
    }

    @Test(.tags(.failure22), arguments: ["99", "\"1\"", "null", "-1", "0", "18446744073709551617"]) func unknownAnswersAreDropped(id: String) throws {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":1,"message":"m"}}"#)
        #expect(bench.finished.isEmpty && bench.back.counters.unknownAnswers == 1)
        #expect(bench.log.count == 1 && bench.log[0].hasPrefix("stray {"), "the operator sees it: \(bench.log)")
    }

    @Test(.tags(.failure20), arguments: [Era.legacy, .modern]) func refusesWhatTheChildAsks(era: Era) throws {
        var bench = try BackBench(ready: era)
        bench.receive(#"{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{"messages":[]}}"#)
        #expect(try bench.next().text == #"{"jsonrpc":"2.0","id":"s1","error":{"code":-32601,"message":"Method not found: sampling/createMessage"}}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#)
        #expect(try bench.next().text == #"{"jsonrpc":"2.0","id":7,"result":{}}"#)
        #expect(bench.back.counters.refusedRequests == 1)
    }

    @Test func errorsPassWithTheirData() throws {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1)
        bench.receive(#"{"jsonrpc":"2.0","error":{"message":"a\nb","data":{"d":[1]},"code":-32099},"id":\#(try bench.next("id").text)}"#)
        #expect(bench[1] == "error -32099 a\nb {\"d\":[1]}")
    }

    @Test func notFoundIsTranslatedForReads() throws {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1, #""method":"resources/read","params":{"uri":"x://y"}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(try bench.next("id").text),"error":{"code":-32002,"message":"m"}}"#)
        #expect(bench[1] == #"error -32602 m {"uri":"x://y"}"#)
    }

    @Test(.tags(.failure12)) func anUnacceptableAnswerFailsItsCall() throws {
        var bench = try BackBench(ready: .legacy)
        for call in 1...4 { try bench.send(call) }
        let ids = try (1...4).map { _ in try bench.next("id").text }
        bench.receive(#"{"jsonrpc":"2.0","id":\#(ids[0]),"result":{"text":"\ud83d"}}"#)
        #expect(bench[1]?.hasPrefix("error -32603") == true)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(ids[1]),"result":7}"#)
        #expect(bench[2]?.hasPrefix("error -32603") == true)
        bench.perform(bench.back.receivedOversized(prefix: ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(ids[2]),"result":{"text":"aaaa"#)))
        #expect(bench[3] == "error -32603 Internal error: the server's answer is not acceptable: too large; a message has at most 16777216 bytes")
        // Half an answer at the end of all is not what is told: the death is.
        bench.perform(bench.back.received(unended: ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(ids[3]),"result":{"te"#)))
        #expect(bench[4] == nil)
        // A request of the child under the same number is no answer.
        bench.receive(#"{"method":"x","id":\#(ids[3]),"jsonrpc":"2.0","x":"\ud800"}"#)
        #expect(bench[4] == nil && bench.back.callsInFlight == 1)
    }

    @Test func deathTellsWhatMayHaveRun() throws {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1)
        bench.perform(bench.back.closed(reason: "killed"))
        #expect(bench[1] == "outcome_unknown" && !bench.log.contains("restart"))
        try bench.send(2)
        #expect(bench[2] == "not_delivered")
        bench.perform(bench.back.closed(reason: "again"))
    }

    @Test(arguments: [Era.legacy, .modern]) func discoverIsAnsweredFromTheHandshake(era: Era) throws {
        var bench = try BackBench(ready: era)
        try bench.send(1, #""method":"server/discover""#)
        let result = try JSONValue(parsing: try #require(bench[1]))
        #expect(result["capabilities"]?["tools"] != nil && result["supportedVersions"]?.text == #"["2026-07-28"]"# && bench.lines.isEmpty)
    }

    @Test(arguments: [("vendor/unknown", "error -32601 "), ("tools/call", "error -32602 no such tool")])
    func aMethodThatNobodyKnowsIsNotFound(method: String, outcome: String) throws {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1, #""method":"\#(method)","params":{"name":"t"}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(try bench.next("id").text),"error":{"code":-32602,"message":"no such tool"}}"#)
        #expect(bench[1]?.hasPrefix(outcome) == true)
    }

    @Test(arguments: ["tasks/get"]) func legacyChildrenAreNotAskedForModernThings(method: String) throws {
        var bench = try BackBench(ready: .legacy)
        try bench.send(1, #""method":"\#(method)""#)
        #expect(bench[1]?.hasPrefix("error -32601") == true && bench.lines.isEmpty)
    }

    @Test func prettyPrintedRequestsBecomeOneLine() throws {
        var bench = try BackBench(ready: .modern)
        try bench.send(1, "\n  \"method\": \"tools/call\",\r\n  \"params\": {\"name\": \"t\\n\"}\n")
        #expect(try bench.next("params")["name"]?.stringValue == "t\n")
    }
}
