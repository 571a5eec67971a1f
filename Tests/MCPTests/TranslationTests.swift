import JSONText
import MCP
import NIOCore
import Testing

/// A front and a back, as a call meets both.
struct TranslationTests {
    private static let list = #"{"jsonrpc":"2.0","id":"mine","method":"tools/list","params":{"cursor":"page \"2\""}}"#

    @Test(arguments: [Era.legacy, .modern], [Era.legacy, .modern]) func cursorsArePassedOn(client: Era, server: Era) throws {
        let front = FrontBench()
        let exchange =
            client == .legacy
            ? front.legacy(Self.list, session: front.open())
            : front.modern("tools/list", id: #""mine""#, params: #""cursor":"page \"2\"""#)
        let call = try #require(front.service.calls.first)
        var back = try BackBench(ready: server)
        back.perform(back.back.send(call.request, call: CallID(1)))
        // Before it may be the level of `logging/setLevel`.
        let sent = try #require(back.lines.last)
        #expect(sent["params"]?["cursor"] == #"page "2""#)
        back.receive(#"{"jsonrpc":"2.0","id":\#(try #require(sent["id"]).text),"result":{"tools":[],"nextCursor":"page \"3\""}}"#)
        call.sink.finish(.result(ByteBuffer(string: try #require(back[1]))))
        #expect(exchange.json?["id"] == "mine" && exchange.json?["result"]?["nextCursor"] == #"page "3""#)
    }

    /// What a modern server says of how long a result holds goes to modern clients; of a legacy server's nothing is known.
    @Test(arguments: [Era.legacy, .modern], [Era.legacy, .modern]) func cachingIsTheModernServers(client: Era, server: Era) throws {
        let front = FrontBench()
        let exchange = client == .legacy ? front.legacy(Self.list, session: front.open()) : front.modern("tools/list")
        let call = try #require(front.service.calls.first)
        var back = try BackBench(ready: server)
        back.perform(back.back.send(call.request, call: CallID(1)))
        let sent = try #require(back.lines.last)
        let own = server == .legacy ? "" : #","resultType":"complete","ttlMs":5,"cacheScope":"public""#
        back.receive(#"{"jsonrpc":"2.0","id":\#(try #require(sent["id"]).text),"result":{"tools":[]\#(own)}}"#)
        call.sink.finish(.result(ByteBuffer(string: try #require(back[1]))))
        let result = try #require(exchange.json?["result"])
        switch (client, server) {
        case (.legacy, _): #expect(result["ttlMs"] == nil && result["cacheScope"] == nil)
        case (_, .legacy): #expect(result["ttlMs"]?.intValue == 0 && result["cacheScope"] == "private")
        default: #expect(result["ttlMs"]?.intValue == 5 && result["cacheScope"] == "public")
        }
    }

    /// Tasks of the modern extension, which a server alone decides on.
    @Test(arguments: ["tasks/get", "tasks/update", "tasks/cancel"]) func tasksGoToModernServers(method: String) throws {
        let front = FrontBench()
        #expect(front.modern(method, params: #""taskId":"t1""#, name: "other").errorCode == -32020)
        #expect(front.modern(method, params: #""taskId":"t1""#).errorCode == -32020)
        #expect(front.modern(method, params: #""taskId":1"#, name: "1").errorCode == -32602)
        let exchange = front.modern(method, params: #""taskId":"t1""#, name: "t1")
        let call = try #require(front.service.calls.first)
        var back = try BackBench(ready: .modern)
        back.perform(back.back.send(call.request, call: CallID(1)))
        let sent = try back.next()
        #expect(sent["method"]?.stringValue == method && sent["params"]?["taskId"] == "t1")
        let task = #"{"resultType":"task","taskId":"t1","status":"working","ttlMs":null}"#
        back.receive(#"{"jsonrpc":"2.0","id":\#(try #require(sent["id"]).text),"result":\#(task)}"#)
        call.sink.finish(.result(ByteBuffer(string: try #require(back[1]))))
        #expect(exchange.json?["result"]?["resultType"] == "task" && exchange.json?["result"]?["status"] == "working")
    }

    /// A person is done at the URL of an elicitation. Of the two eras one has a word for it.
    @Test(arguments: [(.legacy, .legacy), (.legacy, .modern), (.modern, .legacy), (.modern, .modern)] as [(Era, Era)], ["call", "stream", "nothing"])
    func thatAnElicitationByURLIsOverIsLegacyClientsToHear(eras: (Era, Era), way: String) throws {
        let (client, server) = eras
        let front = FrontBench(FrontSettings(sessionsHaveServers: true))
        var back = try BackBench(ready: server)
        let complete = #"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e1"}}"#
        var heard: RecordingExchange?
        if way == "call" {
            let call = #"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"t"}}"#
            heard = client == .legacy ? front.legacy(call, session: front.open()) : front.modern("tools/call", params: #""name":"t""#, name: "t")
        } else if way == "stream", client == .legacy {
            var request = FrontRequest(verb: .get)
            (request.accept, request.sessionID, request.protocolVersion) = ("text/event-stream", front.open(), "2025-06-18")
            heard = front.send(request)
        } else if way == "stream" {
            heard = front.modern("subscriptions/listen", params: #""notifications":{"toolsListChanged":true}"#)
        }
        if let call = front.service.calls.first { back.perform(back.back.send(call.request, call: CallID(1))) }
        back.receive(complete)
        let sink = front.service.calls.first?.sink
        for (_, message) in back.notified { _ = sink?.notification(ByteBuffer(bytes: message.serialized())) }
        let isHeard = heard?.events.contains { $0.contains("elicitation/complete") && $0.contains(#""elicitationId":"e1""#) } ?? false
        #expect(isHeard == (client == .legacy && server == .legacy && way != "nothing"))
        // To a modern client's call it is told, and ends there; a modern client's subscription is none to it.
        let isTaken = server == .legacy && (way == "call" || way == "stream" && client == .legacy)
        #expect(back.back.counters.droppedNotifications == (isTaken ? 0 : 1))
    }

    /// Of several clients' calls it may be any one's.
    @Test func thatAnElicitationIsOverIsNotToldToAnother() throws {
        var bench = try BackBench(ready: .legacy)
        for (call, name) in [(1, "a"), (2, "b")] {
            let meta = #""io.modelcontextprotocol/clientInfo":{"name":"\#(name)"}"#
            try bench.send(call, #""method":"tools/call","params":{"name":"t","_meta":{\#(meta)}}"#)
        }
        bench.receive(#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e1"}}"#)
        #expect(bench.notified.isEmpty)
    }

    /// Whoever did not declare the extension would wait for a result that never comes.
    @Test(arguments: [
        (#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#, true), (#"{"extensions":{"io.modelcontextprotocol/other":{}}}"#, false),
        (#"{"extensions":{}}"#, false), (#"{"tasks":{}}"#, false), ("{}", false),
    ]) func aTaskIsForWhoDeclaredTasks(capabilities: String, isDeclared: Bool) throws {
        let front = FrontBench()
        let meta = FrontBench.meta.replacing(#"{"elicitation":{}}"#, with: capabilities)
        let exchange = front.modern("tools/call", params: #""name":"t""#, meta: meta, name: "t")
        let task = #"{"resultType":"task","taskId":"t1","status":"working"}"#
        try #require(front.service.calls.first).sink.finish(.result(ByteBuffer(string: task)))
        #expect((exchange.json?["result"]?["taskId"] == "t1") == isDeclared)
        #expect(isDeclared || exchange.errorCode == -32021 && exchange.status == 400)
        let needed = exchange.json?["error"]?["data"]?["requiredCapabilities"]?["extensions"]?["io.modelcontextprotocol/tasks"]
        #expect(isDeclared == (needed == nil))

        let old = front.legacy(#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#, session: front.open())
        try #require(front.service.calls.last).sink.finish(.result(ByteBuffer(string: task)))
        #expect(old.errorCode == -32603)
    }

    @Test func arraysAreNoMessagesOfTheModernRevision() {
        let front = FrontBench()
        let exchange = front.modern("tools/list") { $0.body = ByteBuffer(string: "[\(String(buffer: $0.body))]") }
        #expect(exchange.status == 400 && exchange.errorCode == -32600 && front.service.calls.isEmpty)
    }
}
