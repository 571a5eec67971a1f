import JSONText
@testable import MCP
import NIOCore
import NIOEmbedded
import Testing

/// Subscriptions at an endpoint: a modern client's, and what a legacy session hears of.
@Suite struct ListenFrontTests {
    let bench = FrontBench()

    private static func note(_ method: String, _ params: String, id: String) -> ByteBuffer {
        ByteBuffer(
            string: #"{"jsonrpc":"2.0","method":"\#(method)","params":{\#(params)\#(params.isEmpty ? "" : ",")"_meta":{"io.modelcontextprotocol/subscriptionId":\#(id)}}}"#)
    }
    private static func acknowledged(_ filter: String, id: String = "0") -> ByteBuffer {
        note("notifications/subscriptions/acknowledged", #""notifications":\#(filter)"#, id: id)
    }

    private func listen() throws -> (RecordingExchange, RecordingService.Call) {
        let exchange = bench.modern("subscriptions/listen", id: "\"L\"", params: #""notifications":{"toolsListChanged":true}"#)
        return (exchange, try #require(bench.service.calls.last))
    }

    // MARK: Modern

    @Test func aModernClientsStreamStaysOpen() throws {
        let (exchange, call) = try listen()
        #expect(call.request.id?.text == "\"L\"" && !exchange.isOpen)
        _ = call.sink.notification(Self.acknowledged(#"{"toolsListChanged":true}"#, id: "\"L\""))
        _ = call.sink.notification(Self.note("notifications/tools/list_changed", "", id: "\"L\""))
        #expect(exchange.isOpen && exchange.events.count == 2 && !exchange.isClosed)
        bench.front.closeAll()
        #expect(exchange.isClosed && exchange.lastEvent?["id"]?.stringValue == "L" && call.cancels == 1)
        #expect(exchange.lastEvent?["result"]?["resultType"]?.stringValue == "complete")
        #expect(exchange.lastEvent?["result"]?["_meta"]?["io.modelcontextprotocol/subscriptionId"]?.stringValue == "L")
    }

    /// An update may be of a part of what was subscribed to.
    @Test(arguments: [
        ("a://1", true), ("a://1/x", true), ("a://1?q", true), ("a://1#f", true), ("a://12", false), ("a:/", false), ("b://2/", true),
        ("b://2/x/y", true), ("b://2", false), ("c://3", false), (String(repeating: "/", count: 9_000), false),
    ]) func partsOfWhatWasSubscribedTo(_ uri: String, _ isWanted: Bool) {
        let filter = ListenFilter(uris: ["a://1", "b://2/"])
        #expect(filter.wants("notifications/resources/updated", uri: uri) == isWanted)
    }

    @Test func whatIsKeptBeforeTheAcknowledgementIsBounded() throws {
        let params = #""notifications":{"resourceSubscriptions":["a://1","b://2"]}"#
        let exchange = bench.modern("subscriptions/listen", id: "\"L\"", params: params)
        let call = try #require(bench.service.calls.last)
        let long = String(repeating: "x", count: 40 << 10)
        for uri in ["a://1", "b://2"] {
            _ = call.sink.notification(Self.note("notifications/resources/updated", #""uri":"\#(uri)","x":"\#(long)""#, id: "\"L\""))
        }
        _ = call.sink.notification(Self.acknowledged(#"{"resourceSubscriptions":["a://1","b://2"]}"#, id: "\"L\""))
        #expect(exchange.events.count == 2 && exchange.lastEvent?["params"]?["uri"]?.stringValue == "a://1")
    }

    /// A server that says more than it was asked, in the wrong order and twice.
    @Test func onlyWhatWasAskedAndGrantedIsHeard() throws {
        let exchange = bench.modern(
            "subscriptions/listen", id: "\"L\"",
            params: #""notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a://1","b://2/","c://3"]}"#)
        let call = try #require(bench.service.calls.last)
        func say(_ method: String, _ params: String = "") { _ = call.sink.notification(Self.note("notifications/\(method)", params, id: "\"L\"")) }
        say("tools/list_changed")
        say("tools/list_changed")
        say("prompts/list_changed")
        say("resources/list_changed")
        say("resources/updated", #""uri":"c://3""#)
        #expect(!exchange.isOpen, "the acknowledgement is the first")
        let filter = #"{"toolsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["x://0","b://2/","a://1"]}"#
        say("subscriptions/acknowledged", #""notifications":\#(filter)"#)
        say("subscriptions/acknowledged", #""notifications":\#(filter)"#)
        let events = try exchange.events.map { try JSONValue(parsing: $0) }
        #expect(events.map { $0["method"]?.stringValue } == ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed"])
        #expect(
            events[0]["params"]?.text
                == #"{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://1","b://2/"]},"# +
                #""_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}"#)

        for uri in ["a://1", "a://1/part", "a://1#part", "a://12", "b://2/part", "b://2", "c://3", "x://0"] { say("resources/updated", #""uri":"\#(uri)""#) }
        for method in ["prompts/list_changed", "resources/list_changed", "message", "tools/list_changed"] { say(method) }
        let later = try exchange.events.dropFirst(2).map { try JSONValue(parsing: $0)["params"]?["uri"]?.stringValue }
        #expect(later == ["a://1", "a://1/part", "a://1#part", "b://2/part", nil])
    }

    @Test func aFloodBeforeTheAcknowledgementIsBounded() throws {
        let uris = (0..<200).map { "\"a://\($0)\"" }.joined(separator: ",")
        let exchange = bench.modern("subscriptions/listen", params: #""notifications":{"resourceSubscriptions":[\#(uris)]}"#)
        let call = try #require(bench.service.calls.last)
        for number in 0..<200 { _ = call.sink.notification(Self.note("notifications/resources/updated", #""uri":"a://\#(number)""#, id: "1")) }
        _ = call.sink.notification(Self.acknowledged(#"{"resourceSubscriptions":[\#(uris)]}"#, id: "1"))
        #expect(exchange.events.count == 65)
    }

    /// What a session hears of is kept until it is granted, too.
    @Test func aSessionHearsAfterTheAcknowledgement() throws {
        let session = bench.open()
        let stream = stream(session)
        let listen = try #require(listens().last)
        _ = listen.sink.notification(Self.note("notifications/tools/list_changed", "", id: "0"))
        #expect(stream.events.isEmpty)
        _ = listen.sink.notification(Self.acknowledged(#"{"toolsListChanged":true}"#))
        #expect(stream.events.count == 1)
    }

    @Test func aClientThatLeavesEndsIt() throws {
        let (exchange, call) = try listen()
        _ = call.sink.notification(Self.acknowledged("{}", id: "\"L\""))
        exchange.onClientGone?()
        #expect(call.cancels == 1)
    }

    @Test func refusalsBeforeTheStream() throws {
        let (exchange, call) = try listen()
        call.sink.finish(.error(.methodNotFound("subscriptions/listen")))
        #expect(exchange.status == 404 && exchange.errorCode == -32601)
        let (second, other) = try listen()
        other.sink.finish(.failed(Undelivered(.notDelivered, "no room")))
        #expect(second.status == 200 && second.errorCode == 1001)
    }

    @Test func aServerThatIsPutAwayEndsTheStreamInOrder() throws {
        let (exchange, call) = try listen()
        _ = call.sink.notification(Self.acknowledged("{}", id: "\"L\""))
        call.sink.finish(.failed(Undelivered(.outcomeUnknown, "the session is over")))
        #expect(exchange.isClosed && exchange.lastEvent?["result"]?["resultType"]?.stringValue == "complete")
    }

    // MARK: Legacy

    private func stream(_ session: String) -> RecordingExchange {
        var request = FrontRequest(verb: .get)
        request.accept = "text/event-stream"
        request.sessionID = session
        request.protocolVersion = "2025-06-18"
        return bench.send(request)
    }

    private func post(_ method: String, _ params: String, session: String, id: Int = 1) -> RecordingExchange {
        bench.legacy(#"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":{\#(params)}}"#, session: session)
    }

    private func listens() -> [RecordingService.Call] { bench.service.calls.filter { $0.request.method == "subscriptions/listen" } }

    @Test func changesReachTheGETStream() throws {
        let session = bench.open()
        let stream = stream(session)
        let listen = try #require(listens().last)
        #expect(listen.params["notifications"]?.text == #"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}"#)
        #expect(listen.context.session.id == session && listen.context.clientEra == .legacy)
        // What its calls declare: the server of the session is one.
        #expect(listen.context.clientCapabilities?.text == #"{"sampling":{},"x":{}}"#)
        #expect(listen.meta("io.modelcontextprotocol/clientCapabilities")?.text == #"{"sampling":{},"x":{}}"#)
        _ = listen.sink.notification(Self.acknowledged(#"{"toolsListChanged":true}"#))
        _ = listen.sink.notification(Self.note("notifications/tools/list_changed", "", id: "0"))
        _ = listen.sink.notification(Self.note("notifications/resources/updated", #""uri":"a://1""#, id: "0"))
        _ = listen.sink.notification(Self.note("notifications/prompts/list_changed", "", id: "0"))
        #expect(stream.events == [#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}"#], "what was asked and granted")
        stream.onClientGone?()
        #expect(listen.cancels == 0, "its client may come back for what it misses")
        bench.service.loop.advanceTime(by: .seconds(80))
        #expect(listen.cancels == 1, "nobody listens any more")
    }

    @Test func subscriptionsToResources() throws {
        let session = bench.open()
        let first = post("resources/subscribe", #""uri":"a://1""#, session: session)
        let one = try #require(listens().last)
        #expect(first.status == nil && one.params["notifications"]?["resourceSubscriptions"]?.text == #"["a://1"]"#)
        _ = one.sink.notification(Self.acknowledged(#"{"resourceSubscriptions":["a://1"]}"#))
        #expect(first.json?["result"]?.text == "{}")

        let second = post("resources/subscribe", #""uri":"b://2""#, session: session)
        let two = try #require(listens().last)
        #expect(two.params["notifications"]?["resourceSubscriptions"]?.text == #"["a://1","b://2"]"# && one.cancels == 0)
        _ = two.sink.notification(Self.acknowledged(#"{"resourceSubscriptions":["a://1","b://2"]}"#))
        #expect(one.cancels == 1 && second.json?["result"]?.text == "{}")
        #expect(post("resources/subscribe", #""uri":"b://2""#, session: session).json?["result"]?.text == "{}" && listens().count == 2)

        let third = post("resources/unsubscribe", #""uri":"a://1""#, session: session)
        let three = try #require(listens().last)
        #expect(three.params["notifications"]?["resourceSubscriptions"]?.text == #"["b://2"]"#)
        _ = three.sink.notification(Self.acknowledged(#"{"resourceSubscriptions":["b://2"]}"#))
        #expect(third.json?["result"]?.text == "{}" && two.cancels == 1)
        // What comes while no stream is open has nowhere to go; a stream that opens hears the next.
        _ = three.sink.notification(Self.note("notifications/resources/updated", #""uri":"b://2""#, id: "0"))
        let stream = stream(session)
        _ = three.sink.notification(Self.note("notifications/resources/updated", #""uri":"b://2""#, id: "0"))
        #expect(stream.events.count == 1 && listens().count == 3)
        #expect(stream.events[0] == #"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"b://2"}}"#)
        bench.front.sessionEnded(session)
        #expect(three.cancels == 1 && stream.isClosed)
    }

    /// One change at a time: each is answered, and no subscription is left behind.
    @Test func changesWaitForEachOther() throws {
        let session = bench.open()
        let posts = [
            post("resources/subscribe", #""uri":"a://1""#, session: session), post("resources/subscribe", #""uri":"a://1""#, session: session),
            post("resources/subscribe", #""uri":"b://2""#, session: session), post("resources/unsubscribe", #""uri":"a://1""#, session: session),
        ]
        for filter in [#"["a://1"]"#, #"["a://1","b://2"]"#, #"["b://2"]"#] {
            let listen = try #require(listens().last)
            #expect(listen.params["notifications"]?["resourceSubscriptions"]?.text == filter)
            _ = listen.sink.notification(Self.acknowledged(#"{"resourceSubscriptions":\#(filter)}"#))
        }
        for post in posts { #expect(post.json?["result"]?.text == "{}") }
        #expect(listens().map(\.cancels) == [1, 1, 0])
    }

    @Test func theEndOfTheSessionAnswersWhoWaits() throws {
        let session = bench.open()
        let posts = ["a", "b"].map { post("resources/subscribe", #""uri":"\#($0)://1""#, session: session) }
        bench.front.sessionEnded(session)
        for post in posts { #expect(post.errorCode == 1001) }
        #expect(listens().map(\.cancels) == [1])
    }

    @Test func whatFailsLeavesTheSubscriptionsAsTheyWere() throws {
        let session = bench.open()
        _ = post("resources/subscribe", #""uri":"a://1""#, session: session)
        _ = try #require(listens().last).sink.notification(Self.acknowledged(#"{"resourceSubscriptions":["a://1"]}"#))
        let failing = post("resources/unsubscribe", #""uri":"a://1""#, session: session)
        try #require(listens().last).sink.finish(.error(.internalError("no")))
        #expect(failing.errorCode == -32603)
        _ = post("resources/unsubscribe", #""uri":"a://1""#, session: session)
        #expect(listens().count == 3, "it is still there to be ended")
    }

    /// A client that does not read its stream holds up what feeds it, until it reads or another stream takes over.
    @Test func aStreamThatIsNotReadHoldsUp() throws {
        let session = bench.open()
        let stream = stream(session)
        let listen = try #require(listens().last)
        _ = listen.sink.notification(Self.acknowledged(#"{"toolsListChanged":true}"#))
        stream.demand = .pause
        #expect(listen.sink.notification(Self.note("notifications/tools/list_changed", "", id: "0")) == .pause)
        stream.onResume?()
        #expect(listen.resumes == 1)
        _ = self.stream(session)
        #expect(listen.resumes == 2)
    }

    @Test func aServerWithoutSubscriptionsSaysSo() throws {
        let session = bench.open()
        let refused = post("resources/subscribe", #""uri":"a://1""#, session: session)
        _ = try #require(listens().last).sink.notification(Self.acknowledged("{}"))
        #expect(refused.errorCode == -32601)
        let broken = post("resources/subscribe", #""uri":"b://2""#, session: session)
        try #require(listens().last).sink.finish(.error(.internalError("no")))
        #expect(broken.errorCode == -32603)
        #expect(post("resources/subscribe", "", session: session).errorCode == -32602)
        let again = post("resources/subscribe", #""uri":"c://3""#, session: session)
        #expect(listens().last?.params["notifications"]?["resourceSubscriptions"]?.text == #"["c://3"]"#, "what was refused is forgotten")
        _ = again
    }

    @Test func itGoesOnWithTheNextRequestOnceTheServerWasPutAway() throws {
        let session = bench.open()
        let stream = stream(session)
        let first = try #require(listens().last)
        _ = first.sink.notification(Self.acknowledged(#"{"toolsListChanged":true}"#))
        first.sink.finish(.failed(Undelivered(.outcomeUnknown, "idle")))
        #expect(listens().count == 1 && !stream.isClosed, "a stream that is merely open starts no server")
        _ = post("tools/list", "", session: session)
        #expect(listens().count == 2)
        _ = post("tools/list", "", session: session, id: 2)
        #expect(listens().count == 2)
    }

    @Test func whoKnowsNoSubscriptionsIsAskedOnce() throws {
        let session = bench.open()
        _ = stream(session)
        try #require(listens().last).sink.finish(.error(.methodNotFound("subscriptions/listen")))
        _ = post("tools/list", "", session: session)
        #expect(listens().count == 1)
    }
}
