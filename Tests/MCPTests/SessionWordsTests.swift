import JSONText
import NIOCore
import NIOEmbedded
import Testing

@testable import MCP

/// What a server that is one session's own says and asks outside of calls, at its side (`Back`) and at the client's (`MCPFront`).
struct SessionWordsTests {
    private static let able = #"{"elicitation":{"form":{}},"roots":{"listChanged":true}}"#
    private static let elicit = #""method":"elicitation/create","params":{"message":"m","requestedSchema":{}}"#

    /// A legacy child that was told of such a client, and sessions that hear it under calls 1, 2, ….
    private func child(
        sessions: Int = 1, declaring: String = able, canAsk: Bool = true, isOneSessions: Bool = true
    ) throws -> BackBench {
        var bench = BackBench(era: .legacy, canAsk: canAsk, isOneSessions: isOneSessions, declaring: declaring)
        let id = try bench.next("id").text
        bench.receive(
            #"{"jsonrpc":"2.0","id":\#(id),"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}"#)
        bench.lines = []
        for call in 0..<sessions {
            let listen = SessionListen(
                uris: [], capabilities: ByteBuffer(string: declaring), hearsAll: true, acknowledged: { _ in }, deliver: { _, _ in .more })
            bench.perform(bench.back.send(listen.request, call: CallID(100 + call)))
        }
        bench.notified = []
        return bench
    }

    /// Declared or not, asked for or not: a client beside its server hears it too.
    @Test(arguments: [
        "notifications/tools/list_changed", "notifications/resources/updated", "notifications/message", "notifications/elicitation/complete",
        "notifications/other",
    ]) func whatIsSaidIsHeard(method: String) throws {
        var bench = try child()
        bench.receive(#"{"jsonrpc":"2.0","method":"\#(method)","params":{"uri":"u","level":"debug","data":1}}"#)
        #expect(bench.notified.map { $0.1["method"]?.stringValue } == [method] && bench.notified.first?.0 == CallID(100))
    }

    @Test(arguments: ["berth/asked", "berth/withdrawn", "berth/x"]) func aServerDoesNotUseOurWords(method: String) throws {
        var bench = try child()
        bench.receive(#"{"jsonrpc":"2.0","method":"\#(method)","params":{"requestState":"s","inputRequests":{}}}"#)
        #expect(bench.notified.isEmpty && bench.back.counters.droppedNotifications == 1)
    }

    @Test func aQuestionOutsideOfCallsIsAskedAndAnswered() throws {
        var bench = try child()
        bench.receive(#"{"jsonrpc":"2.0","id":"r1","method":"roots/list"}"#)
        let asked = try #require(bench.notified.first?.1)
        #expect(asked["method"] == "berth/asked" && asked["params"]?["inputRequests"]?["answer"]?["method"] == "roots/list")
        let handle = try #require(asked["params"]?["requestState"]?.stringValue)
        #expect(bench.back.questionCount == 1 && bench.timers == [.input(handle)])
        let answer = SessionWords.answering(ByteBuffer(string: #"{"roots":[]}"#), handle: handle)
        bench.perform(bench.back.send(answer, call: CallID(5)))
        #expect(try bench.next() == ["jsonrpc": "2.0", "id": "r1", "result": ["roots": []]])
        #expect(bench.back.questionCount == 0 && bench.timers.isEmpty && bench[5] == "{}")
        // An answer is good for once.
        bench.perform(bench.back.send(answer, call: CallID(6)))
        #expect(bench.lines.isEmpty && bench[6] == "{}")
    }

    @Test(arguments: ["refused", "nonsense", "silence", "withdrawn", "death"]) func aQuestionEnds(how: String) throws {
        var bench = try child()
        bench.receive(#"{"jsonrpc":"2.0","id":7,\#(Self.elicit)}"#)
        let handle = try #require(bench.notified.first?.1["params"]?["requestState"]?.stringValue)
        bench.notified = []
        switch how {
        case "refused":
            let refusal = try #require(InputResponse.refusal(.methodNotFound("elicitation/create"), for: "elicitation/create", isOurs: true))
            bench.perform(bench.back.send(SessionWords.answering(refusal, handle: handle), call: CallID(5)))
            #expect(try bench.next()["error"]?["code"]?.intValue == -32601)
        case "nonsense":
            bench.perform(bench.back.send(SessionWords.answering(ByteBuffer(string: #"{"x":1}"#), handle: handle), call: CallID(5)))
            #expect(try bench.next()["error"]?["code"]?.intValue == -32603)
        case "silence":
            bench.perform(bench.back.timerFired(.input(handle)))
            bench.timers = []
            #expect(try bench.next()["error"]?["code"]?.intValue == -32603)
            #expect(bench.notified.first?.1["params"]?["requestState"]?.stringValue == handle)
        case "withdrawn":
            bench.receive(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#)
            #expect(bench.notified.first?.1["method"] == "berth/withdrawn")
        default:
            // Its client would answer to nobody.
            bench.perform(bench.back.processEnded().actions)
            #expect(bench.notified.map { $0.1["method"] } == ["berth/withdrawn"])
        }
        #expect(bench.back.questionCount == 0 && bench.timers.isEmpty && bench.lines.isEmpty)
    }

    /// Nobody is asked what he did not declare, or what may be another's.
    @Test(arguments: [
        (1, "{}", true, false, -32601), (0, able, true, false, -32603), (2, able, true, false, -32603), (1, able, false, false, -32601),
        (1, able, true, true, -32601),
    ]) func whoIsNotAsked(sessions: Int, declaring: String, canAsk: Bool, besideACall: Bool, code: Int) throws {
        var bench = try child(sessions: sessions, declaring: declaring, canAsk: canAsk)
        if besideACall {
            // Of a client of the same principal that can be asked nothing: it may be that one's.
            try bench.send(1)
            bench.lines = []
        }
        bench.receive(#"{"jsonrpc":"2.0","id":7,\#(Self.elicit)}"#)
        // One session may be about to listen.
        if code == -32603, let timer = bench.timers.first { bench.perform(bench.back.timerFired(timer)) }
        #expect(try bench.next()["error"]?["code"]?.intValue == code)
        #expect(bench.notified.isEmpty && bench.back.questionCount == 0)
    }

    /// A server that speaks as soon as it is initialized is faster than its client, which opens its stream afterwards.
    @Test(arguments: [true, false]) func whatComesBeforeTheListenerWaitsForIt(isAble: Bool) throws {
        var bench = try child(sessions: 0)
        let said = (0..<40).map { #"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":\#($0)}}"# }
        for message in said { bench.receive(message) }
        bench.receive(#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":8,"method":"roots/list"}"#)
        bench.receive(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":8}}"#)
        #expect(bench.lines.isEmpty && bench.notified.isEmpty && bench.back.questionCount == 0 && bench.timers.count == 1)
        let listen = SessionListen(
            uris: [], capabilities: ByteBuffer(string: isAble ? Self.able : "{}"), hearsAll: true, acknowledged: { _ in }, deliver: { _, _ in .more })
        bench.perform(bench.back.send(listen.request, call: CallID(1)))
        let heard = bench.notified.map(\.1).filter { $0["method"] != "notifications/subscriptions/acknowledged" }
        #expect(heard.prefix(32).map { $0["params"]?["data"]?.intValue } == (0..<32).map { $0 })
        #expect(heard.dropFirst(32).map { $0["method"]?.stringValue } == (isAble ? ["berth/asked"] : []))
        if !isAble { #expect(try bench.next()["error"]?["code"]?.intValue == -32601) }
        #expect(bench.timers.count == (isAble ? 1 : 0) && bench.back.questionCount == bench.timers.count)
        // It is said once.
        bench.notified = []
        bench.perform(bench.back.cancel(CallID(1)))
        bench.perform(bench.back.send(listen.request, call: CallID(2)))
        #expect(bench.notified.allSatisfy { $0.1["method"] == "notifications/subscriptions/acknowledged" })
    }

    /// Where nobody listens the server is told so, soon.
    @Test func aQuestionThatNobodyHearsEnds() throws {
        var bench = try child(sessions: 0)
        bench.receive(#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#)
        let timer = try #require(bench.timers.first)
        #expect(bench.log.last == "arm \(timer) 5", "\(bench.log)")
        bench.perform(bench.back.timerFired(timer))
        #expect(try bench.next()["error"]?["code"]?.intValue == -32603)
        #expect(bench.back.questionCount == 0 && bench.back.hasRefusedUnheard)
    }

    /// What a client was asked in a call that is over is answered also where several sessions use the process.
    @Test func aQuestionThatWasKeptIsAnsweredWhoeverUsesTheProcess() throws {
        var bench = try child(sessions: 0, isOneSessions: false)
        try bench.send(1, #""method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/clientCapabilities":\#(Self.able)}}"#)
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":"r1","method":"roots/list"}"#)
        let asked = try JSONValue(parsing: try #require(bench[1]))
        let state = try #require(asked["requestState"]).text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{"content":[]}}"#)
        try bench.send(
            2, #""method":"tools/call","params":{"name":"t","requestState":\#(state),"inputResponses":{"berth/keep":{"q1":"k"}}}"#)
        #expect(bench.back.questionCount == 1)
        bench.perform(bench.back.send(SessionWords.answering(ByteBuffer(string: #"{"roots":[]}"#), handle: "k"), call: CallID(3)))
        #expect(bench.lines.last == ["jsonrpc": "2.0", "id": "r1", "result": ["roots": []]])
        bench.lines = []
        bench.perform(bench.back.send(MCPRequest(method: SessionWords.rootsChanged), call: CallID(4)))
        #expect(bench.lines.isEmpty)
    }

    /// What comes back for a question of no call is its asker's, also where that takes no new call.
    @Test func theAnswerIsTheAskersAlone() throws {
        var bench = try child()
        bench.receive(#"{"jsonrpc":"2.0","id":7,\#(Self.elicit)}"#)
        let handle = try #require(bench.notified.first?.1["params"]?["requestState"]?.stringValue)
        let empty = ByteBuffer(string: "{}")
        #expect(bench.back.awaits(SessionWords.answering(empty, handle: handle)))
        #expect(!bench.back.awaits(SessionWords.answering(empty, handle: handle + "x")))
        #expect(!bench.back.awaits(MCPRequest(method: SessionWords.rootsChanged)))
    }

    /// The level that a session's client set holds for what comes outside of calls too, in the server and, where that does not care, here.
    @Test func theLogLevelHoldsOutsideOfCalls() throws {
        var bench = BackBench(era: .legacy, declaring: "{}")
        let id = try bench.next("id").text
        bench.receive(
            #"{"jsonrpc":"2.0","id":\#(id),"result":{"protocolVersion":"2025-06-18","capabilities":{"logging":{}},"serverInfo":{"name":"s","version":"1"}}}"#)
        bench.lines = []
        func hear(_ level: String?, _ call: Int) throws {
            let listen = SessionListen(
                uris: [], capabilities: nil, hearsAll: true, logLevel: level, acknowledged: { _ in }, deliver: { _, _ in .more })
            bench.perform(bench.back.send(listen.request, call: CallID(call)))
            if let level {
                let said = try bench.next()
                #expect(said["method"] == "logging/setLevel" && said["params"]?["level"]?.stringValue == level)
            }
            bench.notified = []
        }
        func heard(_ level: String) -> Bool {
            bench.notified = []
            bench.receive(#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"\#(level)","data":1}}"#)
            return !bench.notified.isEmpty
        }
        try hear(nil, 1)
        #expect(bench.lines.isEmpty && heard("debug"))
        bench.perform(bench.back.cancel(CallID(1)))
        try hear("error", 2)
        #expect(!heard("debug") && !heard("warning") && heard("error") && heard("alert"))
        bench.perform(bench.back.cancel(CallID(2)))
        try hear("debug", 3)
        #expect(heard("debug"))
    }

    @Test func aModernServerHearsNothingOfIt() throws {
        var bench = try BackBench(ready: .modern)
        let listen = SessionListen(uris: [], capabilities: nil, hearsAll: true, acknowledged: { _ in }, deliver: { _, _ in .more })
        bench.perform(bench.back.send(listen.request, call: CallID(1)))
        #expect(try !bench.next().text.contains("berth/"))
        bench.perform(bench.back.send(MCPRequest(method: SessionWords.rootsChanged), call: CallID(2)))
        #expect(bench.lines.isEmpty && bench[2] == "{}")
    }

    @Test func changedRootsAreTold() throws {
        var bench = try child()
        bench.perform(bench.back.send(MCPRequest(method: SessionWords.rootsChanged), call: CallID(2)))
        #expect(try bench.next() == ["jsonrpc": "2.0", "method": "notifications/roots/list_changed"])
    }

    // MARK: The front

    private func stream(_ front: FrontBench, _ session: String) -> RecordingExchange {
        var request = FrontRequest(verb: .get)
        (request.accept, request.sessionID, request.protocolVersion) = ("text/event-stream", session, "2025-06-18")
        return front.send(request)
    }

    @Test(arguments: ["result", "error", "withdrawn"]) func theSessionsStreamAsks(how: String) throws {
        let front = FrontBench(FrontSettings(sessionsHaveServers: true))
        let session = front.open(capabilities: Self.able)
        let exchange = stream(front, session)
        let listen = try #require(front.service.calls.first)
        #expect(listen.meta("berth/session") == true)
        _ = listen.sink.notification(Subscription.acknowledged(ListenFilter(), id: ByteBuffer(string: "0")))
        _ = listen.sink.notification(SessionWords.asking(InputRequest(key: "answer", method: "roots/list", params: nil), handle: "h"))
        let asked = try #require(exchange.lastEvent)
        #expect(asked["method"] == "roots/list")
        let id = try #require(asked["id"]).text
        switch how {
        case "withdrawn":
            _ = listen.sink.notification(SessionWords.withdrawing(handle: "h"))
            #expect(exchange.lastEvent?["method"] == "notifications/cancelled" && exchange.lastEvent?["params"]?["requestId"]?.text == id)
            _ = front.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"roots":[]}}"#, session: session)
            #expect(front.service.calls.count == 1)
        case "error":
            #expect(front.legacy(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-1,"message":"no"}}"#, session: session).status == 202)
            let answer = try #require(front.service.calls.last)
            #expect(answer.request.method == "berth/answer" && answer.params["inputResponses"]?["answer"]?["berth/error"]?["code"]?.intValue == -1)
        default:
            // Another's answer is nothing to it.
            _ = front.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"roots":[1]}}"#, session: front.open())
            #expect(front.service.calls.count == 1)
            #expect(front.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"roots":[]}}"#, session: session).status == 202)
            let answer = try #require(front.service.calls.last)
            #expect(answer.request.method == "berth/answer" && answer.context.session.id == session)
            #expect(answer.params["requestState"] == "h" && answer.params["inputResponses"]?["answer"] == ["roots": []])
        }
    }

    /// A server that asks while a call of its client's happens to be open: the call's end is not the question's.
    @Test func aQuestionOutlivesTheCallItMetWith() throws {
        let front = FrontBench(FrontSettings(sessionsHaveServers: true))
        let session = front.open(capabilities: Self.able)
        let exchange = front.legacy(#"{"jsonrpc":"2.0","id":9,"method":"tools/list","params":{}}"#, session: session)
        var bench = try child()
        bench.perform(bench.back.send(front.service.calls[0].request, call: CallID(1)))
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":"r1","method":"roots/list"}"#)
        front.service.calls[0].sink.finish(.result(ByteBuffer(string: try #require(bench[1]))))
        let question = try #require(exchange.lastEvent?["id"]).text
        // The front waits for the call's end beside the question.
        bench.perform(bench.back.send(front.service.calls[1].request, call: CallID(2)))
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{"tools":[]}}"#)
        front.service.calls[1].sink.finish(.result(ByteBuffer(string: try #require(bench[2]))))
        bench.perform(bench.back.send(front.service.calls[2].request, call: CallID(3)))
        front.service.calls[2].sink.finish(.result(ByteBuffer(string: try #require(bench[3]))))
        #expect(exchange.lastEvent?["result"] == ["tools": []] && bench.lines.isEmpty && bench.back.questionCount == 1)
        #expect(!exchange.events.contains { $0.contains("notifications/cancelled") })
        _ = front.legacy(#"{"jsonrpc":"2.0","id":\#(question),"result":{"roots":[]}}"#, session: session)
        bench.perform(bench.back.send(try #require(front.service.calls.last).request, call: CallID(4)))
        #expect(try bench.next() == ["jsonrpc": "2.0", "id": "r1", "result": ["roots": []]])
        #expect(bench.back.questionCount == 0)
    }

    @Test(arguments: [true, false]) func aClientsRootsChange(hasServer: Bool) {
        let front = FrontBench(FrontSettings(sessionsHaveServers: hasServer))
        let session = front.open(capabilities: Self.able)
        #expect(front.legacy(#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#, session: session).status == 202)
        #expect(front.service.calls.map(\.request.method) == (hasServer ? ["berth/rootsChanged"] : []))
    }

    /// What feeds a stream that is not read is held up, whatever it is.
    @Test func whatIsNotReadHoldsItsServerUp() throws {
        let front = FrontBench(FrontSettings(sessionsHaveServers: true))
        let session = front.open(capabilities: Self.able)
        let exchange = stream(front, session)
        let sink = try #require(front.service.calls.first).sink
        _ = sink.notification(Subscription.acknowledged(ListenFilter(), id: ByteBuffer(string: "0")))
        exchange.demand = .pause
        #expect(sink.notification(SessionWords.asking(InputRequest(key: "answer", method: "roots/list", params: nil), handle: "h")) == .pause)
        #expect(sink.notification(SessionWords.withdrawing(handle: "h")) == .pause)
        #expect(exchange.events.count == 2)
    }

    /// A stream whose client did not read what its server said is no stream that merely has nothing to tell: it ends, and may go on.
    @Test func whoDidNotReadIsToldSo() throws {
        let front = FrontBench(FrontSettings(sessionsHaveServers: true))
        let session = front.open(version: "2025-11-25", capabilities: Self.able)
        let exchange = stream(front, session)
        let listen = try #require(front.service.calls.first)
        _ = listen.sink.notification(Subscription.acknowledged(ListenFilter(), id: ByteBuffer(string: "0")))
        listen.sink.finish(.failed(.unread))
        #expect(exchange.isClosed && front.front.sessions[session]?.stream == nil)
        // Of a server that was put away nobody is told: it comes back with the next call.
        let other = front.open(version: "2025-11-25", capabilities: Self.able)
        let quiet = stream(front, other)
        let idle = try #require(front.service.calls.last)
        _ = idle.sink.notification(Subscription.acknowledged(ListenFilter(tools: true), id: ByteBuffer(string: "0")))
        idle.sink.finish(.failed(Undelivered(.outcomeUnknown, "the server's session is over")))
        #expect(!quiet.isClosed && quiet.events.isEmpty)
        // Then its lists may be others.
        _ = front.legacy(#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, session: other)
        let again = try #require(front.service.calls.last { $0.request.method == "subscriptions/listen" })
        #expect(again !== idle)
        _ = again.sink.notification(Subscription.acknowledged(ListenFilter(tools: true), id: ByteBuffer(string: "0")))
        #expect(quiet.events == [#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#])
        // One that is lost again and again does not send its client round; nor does one that ends in order.
        for outcome in [MCPOutcome.failed(Undelivered(.outcomeUnknown, "lost")), .result(ByteBuffer(string: "{}"))] {
            front.service.calls.last { $0.request.method == "subscriptions/listen" }?.sink.finish(outcome)
            _ = front.legacy(#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, session: other)
            let next = try #require(front.service.calls.last { $0.request.method == "subscriptions/listen" })
            _ = next.sink.notification(Subscription.acknowledged(ListenFilter(tools: true), id: ByteBuffer(string: "0")))
        }
        #expect(quiet.events.count == 1)
    }

    /// The level is said at once to the server that the session hears.
    @Test func aLevelIsSaidWithoutACall() throws {
        let front = FrontBench(FrontSettings(sessionsHaveServers: true))
        let session = front.open(capabilities: Self.able)
        let exchange = stream(front, session)
        _ = try #require(front.service.calls.first).sink.notification(Subscription.acknowledged(ListenFilter(), id: ByteBuffer(string: "0")))
        func set(_ level: String) {
            #expect(front.legacy(#"{"jsonrpc":"2.0","id":3,"method":"logging/setLevel","params":{"level":"\#(level)"}}"#, session: session).status == 200)
        }
        set("error")
        #expect(front.service.calls.count == 2 && front.service.calls[1].meta("io.modelcontextprotocol/logLevel") == "error")
        // Before it is known whether that is granted, another one: the last one holds.
        set("debug")
        #expect(front.service.calls.count == 2 && front.service.calls[0].cancels == 0)
        _ = front.service.calls[1].sink.notification(Subscription.acknowledged(ListenFilter(), id: ByteBuffer(string: "0")))
        #expect(front.service.calls.count == 3 && front.service.calls[2].meta("io.modelcontextprotocol/logLevel") == "debug")
        _ = front.service.calls[2].sink.notification(Subscription.acknowledged(ListenFilter(), id: ByteBuffer(string: "0")))
        #expect(front.service.calls.map(\.cancels) == [1, 1, 0])
        set("debug")
        #expect(front.service.calls.count == 3 && !exchange.isClosed)
    }

    /// A stream that breaks off and goes on misses nothing that its server said or asked meanwhile.
    @Test func aBrokenStreamGoesOn() throws {
        let front = FrontBench(FrontSettings(sessionsHaveServers: true))
        let session = front.open(version: "2025-11-25", capabilities: Self.able)
        let first = stream(front, session)
        let call = try #require(front.service.calls.first)
        _ = call.sink.notification(Subscription.acknowledged(ListenFilter(), id: ByteBuffer(string: "0")))
        first.onClientGone?()
        let said = ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#)
        _ = call.sink.notification(said)
        front.service.loop.advanceTime(by: .seconds(30))
        _ = call.sink.notification(SessionWords.asking(InputRequest(key: "answer", method: "roots/list", params: nil), handle: "h"))
        #expect(call.cancels == 0 && front.service.calls.count == 1)
        var request = FrontRequest(verb: .get)
        (request.accept, request.sessionID, request.protocolVersion) = ("text/event-stream", session, "2025-11-25")
        request.lastEventID = first.primed
        let back = front.send(request)
        #expect(back.events.count == 2 && back.lastEvent?["method"] == "roots/list")
        _ = call.sink.notification(said)
        #expect(back.events.count == 3)
        // One that is read again is not forgotten, and one whose client stays away is, however much its server says.
        front.service.loop.advanceTime(by: .seconds(600))
        #expect(call.cancels == 0)
        back.onClientGone?()
        for _ in 0..<9 {
            front.service.loop.advanceTime(by: .seconds(9))
            _ = call.sink.notification(said)
        }
        #expect(call.cancels == 1)
        #expect(front.front.sessions[session]?.history.isEmpty != false)
    }

    /// They are between services of ours.
    @Test(arguments: ["berth/answer", "berth/rootsChanged", "berth/x"]) func aClientDoesNotUseOurWords(method: String) {
        let front = FrontBench(FrontSettings(sessionsHaveServers: true))
        #expect(front.modern(method).errorCode == -32601)
        let session = front.open()
        #expect(front.legacy(#"{"jsonrpc":"2.0","id":1,"method":"\#(method)"}"#, session: session).errorCode == -32601)
        let marked = FrontBench.meta.dropLast() + #","berth/session":true}"#
        _ = front.modern("subscriptions/listen", params: #""notifications":{"toolsListChanged":true}"#, meta: String(marked))
        #expect(front.service.calls.map(\.request.method) == ["subscriptions/listen"])
        #expect(front.service.calls.first?.meta("berth/session") == nil)
    }
}
