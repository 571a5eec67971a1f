import JSONText
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import MCP

/// Streams that break off and go on: GET with `Last-Event-ID`.
struct ResumeTests {
    private let bench = FrontBench()

    private func call(_ session: String, version: String = "2025-11-25", id: String = "1") -> RecordingExchange {
        var request = bench.legacyRequest(#"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"t"}}"#, session: session)
        request.protocolVersion = version
        return bench.send(request)
    }

    private func get(_ session: String, after event: String?, principal: String = "ann") -> RecordingExchange {
        var request = FrontRequest(verb: .get)
        request.accept = "text/event-stream"
        request.sessionID = session
        request.lastEventID = event
        return bench.send(request, principal: principal)
    }

    private func progress(_ number: Int) -> ByteBuffer {
        ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":\#(number)}}"#)
    }

    private let result = ByteBuffer(string: #"{"resultType":"complete","content":[]}"#)
    private let answer = #"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#

    @Test(arguments: [("2025-11-25", true), ("2025-06-18", false), ("2025-03-26", false), ("2024-11-05", false)])
    func onlyTheNewestHandshakeRevisionIsPrimed(version: String, isPrimed: Bool) throws {
        let session = bench.open(version: version)
        let exchange = call(session, version: version)
        _ = try #require(bench.service.calls.last).sink.notification(progress(1))
        #expect((exchange.primed != nil) == isPrimed && exchange.ids.allSatisfy { $0 != nil } && exchange.events.count == 1)
        let stream = get(session, after: nil)
        #expect((stream.primed != nil) == isPrimed)
    }

    @Test func anAnswerWithoutAStreamHasNoIDs() throws {
        let exchange = call(bench.open())
        try #require(bench.service.calls.last).sink.finish(.result(result))
        #expect(exchange.body == answer && exchange.primed == nil && exchange.ids.isEmpty)
    }

    @Test func whatWasMissedComesAndThenWhatComesNext() throws {
        let session = bench.open(version: "2025-11-25")
        let exchange = call(session)
        let sink = try #require(bench.service.calls.last).sink
        _ = sink.notification(progress(1))
        let seen = try #require(exchange.ids.last ?? nil)
        exchange.onClientGone?()
        _ = sink.notification(progress(2))
        let back = get(session, after: seen)
        #expect(back.events == [progress(2).text] && back.status == 200 && !back.isClosed)
        _ = sink.notification(progress(3))
        sink.finish(.result(result))
        #expect(back.events == [progress(2).text, progress(3).text, answer] && back.isClosed)
        #expect(Set(back.ids).count == 3 && !back.ids.contains(seen) && !back.ids.contains(nil))
        #expect(bench.service.calls.last?.cancels == 0)
    }

    @Test func theAnswerWaitsForTheClient() throws {
        let session = bench.open(version: "2025-11-25")
        let exchange = call(session)
        let sink = try #require(bench.service.calls.last).sink
        _ = sink.notification(progress(1))
        exchange.onClientGone?()
        sink.finish(.result(result))
        let primed = try #require(exchange.primed)
        let back = get(session, after: primed)
        #expect(back.events == [progress(1).text, answer] && back.isClosed)
        // Not for ever.
        bench.service.loop.advanceTime(by: .seconds(80))
        #expect(get(session, after: primed).status == 400)
        #expect(bench.front.sessions[session] == nil, "nothing is kept of a session that is idle")
    }

    /// It would count as in use, and hold its session, for ever.
    @Test func aStreamWhoseClientHangsUpWhileItIsSentTheRestIsNobodys() throws {
        let session = bench.open(version: "2025-11-25")
        let first = get(session, after: nil)
        let listen = try #require(bench.service.calls.last)
        for text in [
            #"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true}}}"#,
            #"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#, #"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#,
        ] { _ = listen.sink.notification(ByteBuffer(string: text)) }
        let second = RecordingExchange()
        second.leavesAfter = 1
        var request = FrontRequest(verb: .get)
        (request.accept, request.sessionID, request.lastEventID) = ("text/event-stream", session, first.primed)
        first.onClientGone?()
        bench.front.handle(request, caller: FrontCaller(principal: "ann", endpoint: "e"), exchange: second)
        #expect(second.events.count == 1)
        #expect(bench.front.sessions[session]?.stream == nil && bench.front.sessionsInUse.isEmpty)
    }

    @Test func anotherConnectionTakesOver() throws {
        let session = bench.open(version: "2025-11-25")
        let first = call(session)
        let sink = try #require(bench.service.calls.last).sink
        _ = sink.notification(progress(1))
        let second = get(session, after: first.primed)
        #expect(first.isClosed && second.events == [progress(1).text])
        _ = sink.notification(progress(2))
        #expect(first.events.count == 1 && second.events.count == 2)
        // The old connection's end is not the client's.
        first.onClientGone?()
        sink.finish(.result(result))
        #expect(second.events.last == answer && second.isClosed)
    }

    @Test(.tags(.failure23)) func allHistoriesTogetherAreBounded() throws {
        let long = ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"\#(String(repeating: "x", count: 900_000))"}}"#)
        var last: (session: String, exchange: RecordingExchange)?
        for _ in 0..<(MCPFront.historyLimit / 900_000 + 2) {
            let session = bench.open(version: "2025-11-25")
            last = (session, call(session))
            _ = try #require(bench.service.calls.last).sink.notification(long)
        }
        #expect(bench.front.historyBytes <= MCPFront.historyLimit)
        let (session, exchange) = try #require(last)
        #expect(exchange.events.count == 1 && exchange.ids == [nil], "it is heard, and not kept")
        #expect(bench.front.sessionsInUse.contains(session))
        for id in Array(bench.front.sessions.keys) { bench.front.sessionEnded(id) }
        #expect(bench.front.historyBytes == 0)
    }

    @Test(arguments: ["", "0-0", "99-1", "1-999", "x", "1", "1-x", "-1-1", "1--1", "9223372036854775808-1"])
    func whatNobodySentCannotBeResumed(event: String) throws {
        let session = bench.open(version: "2025-11-25")
        let exchange = get(session, after: event)
        #expect(exchange.status == 400 && exchange.errorCode == -32600)
    }

    @Test func streamsAreTheirSessionsOwn() throws {
        let session = bench.open(version: "2025-11-25")
        let other = bench.open(version: "2025-11-25")
        let exchange = call(session)
        _ = try #require(bench.service.calls.last).sink.notification(progress(1))
        #expect(get(other, after: exchange.primed).status == 400)
        #expect(get(session, after: exchange.primed, principal: "eve").status == 404)
    }

    @Test func onlyItsOwnStreamIsReplayed() throws {
        let session = bench.open(version: "2025-11-25")
        let (one, two) = (call(session, id: "1"), call(session, id: "2"))
        let sinks = bench.service.calls.suffix(2).map(\.sink)
        for (sink, number) in zip(sinks + sinks, [1, 2, 3, 4]) { _ = sink.notification(progress(number)) }
        one.onClientGone?()
        #expect(get(session, after: one.primed).events == [progress(1).text, progress(3).text])
        #expect(two.events.count == 2)
    }

    @Test(.tags(.failure17)) func whatIsHeardOfBetweenTwoGETsIsNotLost() throws {
        let session = bench.open(version: "2025-11-25")
        let first = get(session, after: nil)
        let listen = try #require(bench.service.calls.last)
        _ = listen.sink.notification(
            ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true,"promptsListChanged":true}}}"#))
        _ = listen.sink.notification(ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#))
        #expect(first.events.count == 1)
        let second = get(session, after: first.primed)
        #expect(first.isClosed && second.events == first.events)
        _ = listen.sink.notification(ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#))
        #expect(second.events.count == 2)
    }

    @Test func aQuestionWaitsForAClientThatComesBack() throws {
        let session = bench.open(version: "2025-11-25", capabilities: #"{"elicitation":{}}"#)
        let exchange = call(session)
        let first = try #require(bench.service.calls.last)
        _ = first.sink.notification(progress(1))
        exchange.onClientGone?()
        first.sink.finish(
            .result(
                ByteBuffer(
                    string: #"{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{"message":"?"}}},"requestState":"s"}"#)))
        #expect(bench.service.calls.count == 1, "it is not refused while the client may come back")
        let back = get(session, after: exchange.primed)
        let question = try #require(back.lastEvent)
        #expect(question["method"] == "elicitation/create")
        let id = try #require(question["id"]).text
        _ = bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"result":{"action":"accept","content":{}}}"#, session: session)
        let again = try #require(bench.service.calls.last)
        #expect(bench.service.calls.count == 2 && again.params["requestState"] == "s")
        again.sink.finish(.result(result))
        #expect(back.events.last == answer && back.isClosed)
    }

    @Test func aQuestionDoesNotWaitForEver() throws {
        let session = bench.open(version: "2025-11-25", capabilities: #"{"elicitation":{}}"#)
        let exchange = call(session)
        let first = try #require(bench.service.calls.last)
        _ = first.sink.notification(progress(1))
        exchange.onClientGone?()
        first.sink.finish(
            .result(ByteBuffer(string: #"{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{"message":"?"}}}}"#)))
        bench.service.loop.advanceTime(by: .seconds(45))
        #expect(bench.service.calls.count == 2, "its server is told that nobody answers")
    }
}

struct EventHistoryTests {
    private let now = NIODeadline.now()

    @Test func theOldestGoFirst() throws {
        var history = EventHistory()
        let prime = history.prime(1)
        for number in 0..<EventHistory.maximumMessages * 3 { #expect(history.append(ByteBuffer(string: "\(number)"), to: 1, now: now) != nil) }
        let events = try #require(history.replay(after: prime)).events
        #expect(events.count <= EventHistory.maximumMessages && events.count >= EventHistory.maximumMessages / 2)
        #expect(events.last?.message == ByteBuffer(string: "\(EventHistory.maximumMessages * 3 - 1)"))
        #expect(events.map(\.message).map { Int(String(buffer: $0)) ?? -1 } == Array((EventHistory.maximumMessages * 3 - events.count)..<(EventHistory.maximumMessages * 3)))
    }

    @Test func bytesAreBounded() throws {
        var history = EventHistory()
        let (one, two) = (history.prime(1), history.prime(2))
        let large = ByteBuffer(repeating: 0x78, count: EventHistory.maximumBytes / 3)
        for stream in [1, 2, 1, 2, 1, 2] { #expect(history.append(large, to: stream, now: now) != nil) }
        let kept = [one, two].compactMap { history.replay(after: $0)?.events.count }
        #expect(kept.reduce(0, +) <= 3 && kept.reduce(0, +) >= 2)
        #expect(history.append(ByteBuffer(repeating: 0x78, count: EventHistory.maximumBytes), to: 1, now: now) != nil)
        #expect(try #require(history.replay(after: one)).events.count == 1)
        #expect(history.append(ByteBuffer(repeating: 0x78, count: EventHistory.maximumBytes + 1), to: 1, now: now) == nil)
    }

    @Test func endedStreamsExpireAndOthersDoNot() {
        var history = EventHistory()
        let (one, two) = (history.prime(1), history.prime(2))
        _ = history.append(ByteBuffer(string: "a"), to: 1, now: now)
        history.end(1, now: now)
        history.expire(now: now + .seconds(59))
        #expect(history.replay(after: one)?.events.count == 1)
        history.expire(now: now + .seconds(60))
        #expect(history.replay(after: one) == nil && history.replay(after: two) != nil && !history.isEmpty)
        _ = history.append(ByteBuffer(string: "b"), to: 2, now: now)
        history.expire(now: now + EventHistory.keptWhileOpen)
        #expect(history.replay(after: two)?.events.isEmpty == true && history.bytes == 0, "not for ever while it is open")
        history.end(2, now: now)
        history.expire(now: now + .seconds(60))
        #expect(history.isEmpty)
    }
}
