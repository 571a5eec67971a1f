import MCP
import NIOCore
import Testing

@testable import RemoteClient

/// How conversations with a server behind a URL begin, end and follow each other.
struct RemoteSessionTests {
    // MARK: Opening

    private static func unsupported(_ versions: String) -> String {
        #"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"no","data":{"supported":[\#(versions)]}}}"#
    }

    /// What a probe is refused with, and what comes of it.
    @Test(arguments: [
        (400, unsupported(#""2025-11-25""#), ["initialize"]), (400, unsupported(#""2026-07-28""#), ["ready modern"]),
        (400, #"{"error":{"code":-32020,"message":"no"}}"#, ["ready modern"]), (400, #"{"error":{"code":-32021,"message":"no"}}"#, ["ready modern"]),
        (400, #"{"error":{"code":-32600,"message":"no session"}}"#, ["initialize"]),
        (404, #"{"error":{"code":-32601,"message":"no"}}"#, ["initialize"]),
        (404, "", ["initialize"]), (405, "<html>", ["initialize"]), (406, "", ["initialize"]), (500, "", ["initialize"]),
        (401, #"{"error":"invalid_token","error_description":"expired"}"#, ["discard", "fail: not_delivered the server answered HTTP 401: expired"]),
        (403, #"{"error":{"code":-32000,"message":"no"}}"#, ["discard", "fail: not_delivered the server answered HTTP 403: no"]),
        (407, "", ["discard", "fail: not_delivered the server answered HTTP 407"]),
        (302, "", ["discard", "fail: not_delivered the server answered HTTP 302"]),
    ])
    func aProbeIsRefused(_ status: Int, _ body: String, _ asks: [String]) {
        Story("\(status)", (.begin(), ["server/discover"]), (.refuses("server/discover", status, body), asks)).play()
    }

    @Test func aServersDeathEndsItsSessionsAndTheNextTellsOfTheLoss() {
        Story(
            "lost", (.call(1), ["tools/call"]), (.says("tools/call", #""result":{"content":[]}"#), ["finish 1"]), (.call(2), ["tools/call"]),
            (.lost, ["discard", "finish 2: outcome_unknown it died"]), (.call(3), ["initialize"]),
            (.says("initialize", Story.hello, session: "s2"), ["notifications/initialized", "hold 20 s", "ready legacy"]),
            (.lost, ["discard", "finish 3: 1001 it died"])
        ).play(isOpen: true)
        Story("lost while it was asked", (.call(1), ["server/discover"]), (.lost, ["discard", "fail: not_delivered it died"])).play()
    }

    static let openings = [
        Story(
            "two callers open once", (.begin(), ["server/discover"]), (.begin(), []), (.call(1), []), (.call(2), []),
            (.says("server/discover", Story.discovered), ["ready modern", "tools/call", "tools/call"])),
        Story(
            "nobody there, and the next call begins anew", (.begin(), ["server/discover"]),
            (.fails("server/discover"), ["discard", "fail: not_delivered broken"]), (.begin(), ["server/discover"])),
        Story(
            "nothing overtakes the end of the handshake", (.call(1), ["server/discover"]), (.refuses("server/discover", 400), ["initialize"]),
            (.says("initialize", Story.hello), ["notifications/initialized", "hold 20 s", "ready legacy"]), (.call(2), []),
            (.ends("notifications/initialized"), ["let go", "tools/call", "tools/call", "stream from here in 0 ms"])),
        Story(
            "nor does it wait for ever", (.call(1), ["server/discover"]), (.refuses("server/discover", 400), ["initialize"]),
            (.says("initialize", Story.hello), ["notifications/initialized", "hold 20 s", "ready legacy"]),
            (.holdExpires, ["let go", "tools/call", "stream from here in 0 ms"])),
        Story(
            "the client's era first", (.prefer, []), (.begin(), ["initialize"]),
            (.says("initialize", Story.hello), ["notifications/initialized", "hold 20 s", "ready legacy"])),
        Story(
            "the client's era first, of which the server knows nothing", (.prefer, []), (.call(1), ["initialize"]),
            (.refuses("initialize", 400, unsupported(#""2026-07-28""#)), ["server/discover"]),
            (.says("server/discover", Story.discovered), ["ready modern", "tools/call"])),
        Story(
            "the client's era first, and the older transport in vain", (.prefer, []), (.begin(), ["initialize"]),
            (.refuses("initialize", 404, #"{"error":{"code":-32601,"message":"no"}}"#), ["hold 10 s", "event stream"]),
            (.eventStreamEnds(.refused(status: 405, body: ByteBuffer())), ["let go", "close stream", "server/discover"]),
            (.says("server/discover", Story.discovered), ["ready modern"])),
        Story(
            "the client's era first, and none is right", (.prefer, []), (.begin(), ["initialize"]),
            (.refuses("initialize", 404), ["hold 10 s", "event stream"]),
            (.eventStreamEnds(.refused(status: 404, body: ByteBuffer())), ["let go", "close stream", "server/discover"]),
            (.refuses("server/discover", 404), ["discard", "fail: not_delivered the server answered HTTP 404"]), (.begin(), ["initialize"])),
        Story(
            "the client's era first, and a server that is down for now", (.prefer, []), (.begin(), ["initialize"]),
            (.fails("initialize"), ["discard", "fail: not_delivered broken"]), (.begin(), ["initialize"])),
    ]

    @Test(arguments: openings) func itOpens(_ story: Story) { story.play() }

    // MARK: Losing

    static let losses = [
        Story(
            "a call finds out, beside another", (.call(1), ["tools/call"]), (.call(2), ["tools/call"]),
            (.refuses("tools/call", 404), ["start over with 2: the server ended the session"]), (.call(2), ["initialize"]),
            (.says("initialize", Story.hello), ["notifications/initialized", "hold 20 s", "ready legacy"])),
        Story(
            "a notice finds out", (.refuses("notifications/initialized", 404), ["start over with 0: the server ended the session"]),
            (.begin(), ["initialize"])),
        Story(
            "what was known is lost, once told", (.call(1), ["tools/call"]), (.says("tools/call", #""result":{}"#), ["finish 1"]),
            (.call(2), ["tools/call"]), (.refuses("tools/call", 404), ["start over with 2: the server ended the session"]),
            (.call(3), ["initialize"]), (.says("initialize", Story.hello), ["notifications/initialized", "hold 20 s", "ready legacy"]),
            (.ends("notifications/initialized"), ["let go", "tools/call", "stream from here in 0 ms"]),
            (.says("tools/call", #""result":{}"#), ["finish 3, telling of loss"]), (.call(4), ["tools/call"]),
            (.says("tools/call", #""result":{}"#), ["finish 4"])),
        Story(
            "too little declared for a caller", (.begin(#"{"elicitation":{}}"#), ["leave 2025-11-25 s1", "discard", "initialize"]),
            (.begin(#"{"elicitation":{}}"#), [])),
        Story(
            "a call that is refused ends alone", (.call(1), ["tools/call"]),
            (.refuses("tools/call", 401), ["finish 1: 1001 the server answered HTTP 401"]), (.call(2), ["tools/call"]),
            (.refuses("tools/call", 303), ["finish 2: 1002 the server answered HTTP 303"]), (.call(3), ["tools/call"]),
            (.refuses("tools/call", 502, #"{"message":"down\nnow"}"#), ["finish 3: 1002 the server answered HTTP 502: down now"]),
            (.call(4), ["tools/call"]), (.fails("tools/call", .outcomeUnknown), ["finish 4: 1002 broken"]), (.call(5), ["tools/call"])),
    ]

    @Test(arguments: losses) func itIsLost(_ story: Story) { story.play(isOpen: true) }

    /// A server that is another one by now, or no session's.
    @Test(arguments: [
        (-32020, nil, true), (-32022, nil, true), (-32601, nil, false), (-32001, nil, false),
    ] as [(Int, String?, Bool)])
    func anotherEraIsToldByItsCodes(_ code: Int, _ data: String?, _ isOther: Bool) {
        var rig = SessionRig()
        for step in Story.legacy { _ = rig.on(step.event) }
        #expect(rig.session.isOfAnotherEra(MCPError(code: code, message: "no")) == isOther)
    }

    @Test(arguments: [(#"["2025-11-25"]"#, true), (#"["2025-11-25","2026-07-28"]"#, false), ("{}", false)])
    func aStatelessServerIsAnotherOnceItListsOthers(_ supported: String, _ isOther: Bool) {
        var rig = SessionRig()
        for event in [Event.begin(), .says("server/discover", Story.discovered)] { _ = rig.on(event) }
        let error = MCPError(code: -32022, message: "no", data: ByteBuffer(string: #"{"supported":\#(supported)}"#))
        #expect(rig.session.isOfAnotherEra(error) == isOther && !rig.session.isOfAnotherEra(MCPError(code: -32020, message: "no")))
    }

    // MARK: Closing

    static let closes = [
        Story(
            "while opening", (.call(1), ["server/discover"]), (.close, ["discard", "fail: outcome_unknown the connection was closed", "left "]),
            (.begin(), [])),
        Story("before anything", (.close, ["discard", "fail: outcome_unknown the connection was closed", "left "]), (.begin(), [])),
        Story(
            "with a session", (.begin(), ["server/discover"]), (.refuses("server/discover", 400), ["initialize"]),
            (.says("initialize", Story.hello, session: "s1"), ["notifications/initialized", "hold 20 s", "ready legacy"]),
            (.close, ["discard", "fail: outcome_unknown the connection was closed", "left 2025-11-25 s1"]), (.begin(), [])),
    ]

    @Test(arguments: closes) func itIsClosed(_ story: Story) { story.play() }

    @Test func itSaysWhereItStands() {
        var rig = SessionRig()
        #expect(rig.session.stage == .unopened)
        _ = rig.on(.begin())
        #expect(rig.session.stage == .opening)
        _ = rig.on(.says("server/discover", Story.discovered))
        #expect(rig.session.stage == .open(.modern))
        _ = rig.on(.call(1))
        _ = rig.on(.refuses("tools/call", 401))
        #expect(rig.session.stage == .open(.modern) && rig.session.lastStatus == 401)
        _ = rig.on(.close)
        #expect(rig.session.stage == .closed)
    }
}
