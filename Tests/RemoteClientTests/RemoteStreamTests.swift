import MCP
import NIOCore
import Testing

@testable import RemoteClient

/// Streams that end, the transport of 2024-11-05 that has nothing else, and requests that are sent elsewhere.
struct RemoteStreamTests {
    // MARK: Taking up

    static let taken = [
        Story(
            "a call's stream is taken up where it ended", (.call(1), ["tools/call"]),
            (.ends("tools/call", at: "e1"), ["take up tools/call at e1 in 1000 ms"]),
            (.fails("tools/call", .notDelivered), ["take up tools/call at e1 in 1000 ms"]),
            (.ends("tools/call", at: "e2"), ["take up tools/call at e2 in 1000 ms"]),
            (.says("tools/call", #""result":{}"#), ["finish 1"])),
        Story(
            "one without a place is not", (.call(1), ["tools/call"]),
            (.ends("tools/call"), ["finish 1: 1002 the server's stream ended without an answer"])),
        Story(
            "what is no stream is told for what it is", (.call(1), ["tools/call"]),
            (.ends("tools/call", as: "HTTP 200 text/html"), ["finish 1: 1002 the server answered HTTP 200 text/html, and no MCP"])),
        Story(
            "it was delivered, whatever comes of that", (.call(1), ["tools/call"]),
            (.ends("tools/call", at: "e1"), ["take up tools/call at e1 in 1000 ms"]),
            (.refuses("tools/call", 404), ["finish 1: 1002 the server's stream ended, and cannot be taken up: HTTP 404"]),
            (.call(2), ["tools/call"])),
    ]

    @Test(arguments: taken) func aCallsStreamEnds(_ story: Story) { story.play(isOpen: true) }

    @Test func aStatelessServersIsNotTakenUp() {
        Story(
            "modern", (.call(1), ["server/discover"]), (.says("server/discover", Story.discovered), ["ready modern", "tools/call"]),
            (.ends("tools/call", at: "e1"), ["finish 1: 1002 the server's stream ended without an answer"])
        ).play()
    }

    @Test func streamsThatBringNothingComeToAnEnd() {
        var rig = SessionRig()
        for step in Story.legacy { _ = rig.on(step.event) }
        _ = rig.on(.call(1))
        #expect(rig.on(.ends("tools/call", at: "e1")) == ["take up tools/call at e1 in 1000 ms"])
        for number in 1...10 { #expect(rig.on(.ends("tools/call")) == ["take up tools/call at e1 in 1000 ms"], "\(number)") }
        #expect(rig.on(.ends("tools/call")) == ["finish 1: 1002 the server's stream ended without an answer"])
    }

    /// What a server asks for is kept to, within bounds, and grows where it may.
    @Test(arguments: [
        (nil, 0, [1_000, 2_000, 4_000, 8_000]), (5, 0, [100, 200]), (40_000, 0, [40_000, 60_000, 60_000]), (100_000_000, 0, [60_000]),
        (nil, 10, [1_000, 1_000, 1_000]), (1_000, 9, [1_000, 2_000]),
    ] as [(Int?, Int64, [Int])])
    func theSessionsOwnStreamIsOpenedAgainLater(_ asked: Int?, _ lasted: Int64, _ waits: [Int]) {
        var session = RemoteSession()
        var request = RemoteRequest("GET")
        request.isStream = true
        request.place.retryMilliseconds = asked
        for wait in waits {
            guard case .openStream(let next, let delay)? = session.streamEnded(request, .complete, lasted: .seconds(lasted)).first else {
                Issue.record("no other stream")
                return
            }
            #expect(delay == .milliseconds(Int64(wait)))
            request.place = next
        }
    }

    @Test func aRefusedStreamIsNotAskedForAgain() {
        var session = RemoteSession()
        #expect(session.streamEnded(RemoteRequest("GET"), .refused(status: 405, body: ByteBuffer()), lasted: .zero).isEmpty)
        #expect(session.streamEnded(RemoteRequest("GET"), .complete, lasted: .zero).isEmpty)
        #expect(!session.streamEnded(RemoteRequest("GET"), .failed(Undelivered(.notDelivered, "broken")), lasted: .zero).isEmpty)
    }

    // MARK: 2024-11-05

    /// Up to the stream that is to say where to post.
    private static func old(_ steps: (Event, [String])...) -> Story {
        var story = Story(
            "2024-11-05", (.call(1), ["server/discover"]), (.refuses("server/discover", 405), ["initialize"]),
            (.refuses("initialize", 405), ["hold 10 s", "event stream"]))
        story.steps += steps.map { (event: $0, asks: $1) }
        return story
    }

    private static func given(_ up: String) -> [String] { ["discard", "fail: not_delivered \(up)"] }

    @Test(arguments: [
        (.endpoint("https://h/m"), "the server's event stream names a place at another origin to post to"),
        (.endpoint("//g/m"), "the server's event stream names a place at another origin to post to"),
        (.longEndpoint(8_192), "the server's event stream names a place at another origin to post to"),
        (.holdExpires, "the server's event stream did not say in time where to post"),
        (.eventStreamEnds(.complete), "the server's event stream ended before it said where to post"),
        (.eventStreamEnds(.complete, isStream: false), "the server answered HTTP 405"),
        (.eventStreamEnds(.refused(status: 404, body: ByteBuffer())), "the server answered HTTP 405"),
        (.eventStreamEnds(.refused(status: 401, body: ByteBuffer())), "the server answered HTTP 401"),
        (.eventStreamEnds(.failed(Undelivered(.notDelivered, "broken"))), "broken"),
    ] as [(Event, String)])
    func aStreamDoesNotSayWhereToPost(_ event: Event, _ reason: String) {
        // The next call finds out anew what the server speaks.
        Self.old((event, Self.given(reason)), (.begin(), ["server/discover"])).play()
    }

    @Test func itsStreamIsTheConversation() {
        Self.old(
            (.endpoint("/m?s=1"), ["let go", "initialize"]), (.endpoint("/other"), []), (.ends("initialize"), []),
            (.says("initialize", Story.hello), ["notifications/initialized", "hold 20 s", "ready legacy"]),
            (.ends("notifications/initialized"), ["let go", "tools/call"]), (.ends("tools/call"), []),
            (.eventStreamEnds(.complete), ["discard", "finish 1: outcome_unknown the server's event stream ended"]),
            // What it speaks was found out once.
            (.call(2), ["hold 10 s", "event stream"]), (.endpoint("/m?s=2"), ["let go", "initialize"]),
            (.says("initialize", Story.hello), ["notifications/initialized", "hold 20 s", "ready legacy"]),
            (.holdExpires, ["let go", "tools/call"])
        ).play()
    }

    @Test func aCodeThatOnlyTheStatelessRevisionHasIsNoOldTransports() {
        for code in [-32020, -32021, -32022] {
            let refusal = RemoteRefusal(400, ByteBuffer(string: #"{"error":{"code":\#(code),"message":"no"}}"#))
            #expect(!refusal.mayBeOfOldTransport)
        }
        let statuses = [400, 401, 404, 405, 406, 500].filter { RemoteRefusal($0, ByteBuffer()).mayBeOfOldTransport }
        #expect(statuses == [400, 404, 405])
    }

    // MARK: Moves

    /// A POST that 302 and 303 answer was taken: it is not sent twice.
    @Test(arguments: [("POST", [301, 307, 308]), ("DELETE", [301, 307, 308]), ("GET", [301, 302, 303, 307, 308])])
    func onlySomeAnswersMoveARequest(_ verb: String, _ statuses: [Int]) {
        #expect((200..<600).filter { RemoteSender.isMove($0, of: verb) } == statuses)
    }
}
