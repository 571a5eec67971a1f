import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@Suite struct BackProbeTests {
    private static let initialized =
        #""result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{}},"serverInfo":{"name":"old","version":"1"},"instructions":"i"}"#

    @Test func probesFirst() throws {
        var bench = BackBench()
        #expect(bench.log == ["arm handshake 60", "arm probe 5"])
        let probe = try bench.next()
        #expect(probe["method"]?.stringValue == "server/discover" && probe["id"]?.intValue != nil)
        #expect(probe["params"]?["_meta"]?["io.modelcontextprotocol/protocolVersion"]?.stringValue == "2026-07-28")
        #expect(probe["params"]?["_meta"]?["io.modelcontextprotocol/clientCapabilities"] == [:])
    }

    @Test func modernAnswerMakesItModern() throws {
        var bench = BackBench()
        try bench.send(1)
        let id = try bench.next("id").text
        #expect(bench.lines.isEmpty, "calls wait for the handshake")
        bench.receive(
            #"{"jsonrpc":"2.0","id":\#(id),"result":{"supportedVersions":["2025-11-25","2026-07-28"],"capabilities":{"tools":{}},"instructions":"use","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"m","version":"1"}}}}"#
        )
        #expect(bench.log.suffix(3) == ["disarm probe", "disarm handshake", #"ready modern {"name":"m","version":"1"} {"tools":{}}"#])
        #expect(try bench.next("method").stringValue == "tools/call")
    }

    /// Whatever a server says that does not know the method: never one code alone.
    @Test(arguments: [
        #""error":{"code":-32601,"message":"no"}"#, #""error":{"code":-32602,"message":"no"}"#, #""error":{"code":-32600,"message":"no"}"#,
        #""error":{"code":0,"message":"not initialized"}"#,
        #""error":{"code":-32022,"message":"v","data":{"supported":["2025-11-25"],"requested":"2026-07-28"}}"#,
        #""result":{}"#, #""result":{"supportedVersions":["2025-11-25"],"capabilities":{}}"#, #""result":null"#,
    ]) func anyOtherAnswerMakesItLegacy(answer: String) throws {
        var bench = BackBench()
        try bench.send(1)
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),\#(answer)}"#)
        let initialize = try bench.next()
        #expect(initialize["method"]?.stringValue == "initialize" && initialize["params"]?["protocolVersion"]?.stringValue == "2025-11-25")
        #expect(initialize["params"]?["clientInfo"]?["name"]?.stringValue == "berth")
        let second = try #require(initialize["id"]).text
        #expect(second != id)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(second),\#(Self.initialized)}"#)
        #expect(bench.log.last == #"ready legacy {"name":"old","version":"1"} {"tools":{}}"#)
        #expect(try bench.next().text == #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        #expect(try bench.next("method").stringValue == "tools/call")
    }

    /// From the end of a process one concludes less than from an answer: somebody may have ended it.
    @Test func anEraIsGuessedFromAnEnd() throws {
        var bench = BackBench()
        bench.perform(bench.back.closed(reason: "gone"))
        bench.perform(bench.back.start())
        bench.lines.removeFirst(bench.lines.count - 1)
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),\#(Self.initialized)}"#)
        #expect(bench.back.era == .legacy && bench.back.isEraGuessed)

        var answered = BackBench()
        let probe = try answered.next("id").text
        answered.receive(#"{"jsonrpc":"2.0","id":\#(probe),"error":{"code":-32601,"message":"no"}}"#)
        let handshake = try answered.next("id").text
        answered.receive(#"{"jsonrpc":"2.0","id":\#(handshake),\#(Self.initialized)}"#)
        #expect(answered.back.era == .legacy && !answered.back.isEraGuessed)
    }

    /// A value that a cut may have halved is found by its ellipsis.
    @Test func aServersWordsAreCutWithAnEllipsis() throws {
        var bench = BackBench(era: .legacy)
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"result":{"protocolVersion":"\#(String(repeating: "v", count: 40))","capabilities":{}}}"#)
        #expect(bench.log.last?.contains(String(repeating: "v", count: 32) + "…") == true, "\(bench.log)")
    }

    // MARK: Handshake first

    @Test func theHandshakeThatIsTakenIsNotFollowedByAProbe() throws {
        var bench = BackBench(opening: .handshake(isKnownModern: false))
        #expect(bench.log == ["arm handshake 60"])
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),\#(Self.initialized)}"#)
        #expect(bench.back.era == .legacy && bench.timers.isEmpty)
        #expect(try bench.next("method").stringValue == "notifications/initialized" && bench.lines.isEmpty)
    }

    @Test(arguments: [
        #""error":{"code":-32601,"message":"Method not found"}"#, #""result":{"protocolVersion":"2026-07-28","capabilities":{},"serverInfo":{}}"#,
        #""result":{}"#,
    ]) func whoDoesNotTakeTheHandshakeIsProbed(answer: String) throws {
        var bench = BackBench(opening: .handshake(isKnownModern: false))
        try bench.send(1)
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),\#(answer)}"#)
        let probe = try bench.next()
        #expect(probe["method"]?.stringValue == "server/discover" && bench.timers == [.handshake, .probe])
        let second = try #require(probe["id"]).text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(second),"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}"#)
        #expect(bench.back.era == .modern && bench.timers.isEmpty)
        #expect(try bench.next("method").stringValue == "tools/call")
    }

    /// It is neither; what it said to the handshake is why.
    @Test(arguments: ["answer", "silence", "end"]) func whoRefusesBothIsToldByTheFirst(second: String) throws {
        var bench = BackBench(opening: .handshake(isKnownModern: false))
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-32603,"message":"API_KEY is not set"}}"#)
        let probe = try bench.next("id").text
        switch second {
        case "answer": bench.receive(#"{"jsonrpc":"2.0","id":\#(probe),"error":{"code":-32601,"message":"no"}}"#)
        case "silence": bench.perform(bench.back.timerFired(.probe))
        default: bench.perform(bench.back.closed(reason: "exited"))
        }
        #expect(bench.lines.isEmpty && bench.timers.isEmpty && !bench.log.contains("restart"), "\(bench.log)")
        #expect(bench.log.last == "failed the server refused initialize: -32603 API_KEY is not set")
    }

    /// The one that a probe of another process found out to be modern is so for clients of the other era too.
    @Test(arguments: ["end", "silence"]) func whoIsKnownModernAndFailsIsProbedNext(how: String) throws {
        var bench = BackBench(opening: .handshake(isKnownModern: true))
        #expect(bench.log == ["arm handshake 60", "arm probe 15"])
        _ = try bench.next()
        bench.perform(how == "end" ? bench.back.closed(reason: "exited") : bench.back.timerFired(.probe))
        #expect(bench.log.last == "restart" && bench.timers.isEmpty)
        bench.perform(bench.back.start())
        #expect(try bench.next("method").stringValue == "server/discover")
        bench.perform(bench.back.closed(reason: "exited"))
        #expect(bench.log.filter { $0 == "restart" }.count == 1, "once")
    }

    @Test func whoIsSlowIsWhatItSays() throws {
        var bench = BackBench(opening: .handshake(isKnownModern: true))
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),\#(Self.initialized)}"#)
        #expect(bench.back.era == .legacy && bench.timers.isEmpty)
    }

    /// An admin's word is the last.
    @Test(arguments: [(Back.EraChoice.modern, "server/discover"), (.legacy, "initialize")])
    func aKnownEraIsNotTried(era: Back.EraChoice, opens: String) throws {
        var bench = BackBench(era: era, opening: .handshake(isKnownModern: false))
        #expect(try bench.next("method").stringValue == opens)
    }

    @Test(arguments: [-32020, -32021, -32022]) func modernErrorsMakeItModern(code: Int) throws {
        var bench = BackBench()
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":\#(code),"message":"m"}}"#)
        #expect(bench.back.era == .modern)
    }

    @Test(.tags(.failure09)) func silenceMakesItLegacy() throws {
        var bench = BackBench()
        let probe = try bench.next("id").text
        bench.perform(bench.back.timerFired(.probe))
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(probe),"error":{"code":-32602,"message":"late"}}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),\#(Self.initialized)}"#)
        #expect(bench.back.era == .legacy)
        bench.perform(bench.back.timerFired(.probe) + bench.back.timerFired(.handshake))
        #expect(bench.back.era == .legacy)
    }

    /// A modern server that took longer to start than the probe waits.
    @Test(.tags(.failure09)) func slowModernServerIsRecognised() throws {
        var bench = BackBench()
        let probe = try bench.next("id").text
        bench.perform(bench.back.timerFired(.probe))
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(probe),"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}"#)
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-32601,"message":"gone"}}"#)
        #expect(bench.back.era == .modern)
    }

    @Test(.tags(.failure09)) func deathOverTheProbeRestartsOnce() throws {
        var bench = BackBench()
        try bench.send(1)
        bench.lines = []
        bench.perform(bench.back.closed(reason: "exit 1"))
        #expect(bench.log.suffix(3) == ["disarm probe", "disarm handshake", "restart"] && bench[1] == nil)
        bench.perform(bench.back.start())
        let initialize = try bench.next()
        #expect(initialize["method"]?.stringValue == "initialize")
        bench.perform(bench.back.closed(reason: "exit 1"))
        #expect(bench.log.filter { $0 == "restart" }.count == 1 && bench[1] == "not_delivered")
    }

    @Test func deathAfterAnAnsweredProbeRestartsToo() throws {
        var bench = BackBench()
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-32600,"message":"bye"}}"#)
        bench.perform(bench.back.closed(reason: "exit 1"))
        #expect(bench.log.last == "restart")
    }

    @Test func anAdminsChoiceSkipsTheProbe() throws {
        var legacy = BackBench(era: .legacy)
        #expect(try legacy.next("method").stringValue == "initialize")
        legacy.perform(legacy.back.closed(reason: "x"))
        #expect(!legacy.log.contains("restart"))
        var modern = BackBench(era: .modern)
        let id = try modern.next("id").text
        modern.receive(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":-32601,"message":"no discover"}}"#)
        #expect(modern.back.era == .modern)
    }

    /// It wants a handshake first: nothing that it is asked as a modern one would be answered.
    @Test(arguments: [
        (#""error":{"code":-32602,"message":"Invalid request parameters"}"#, "-32602 Invalid request parameters"),
        (#""error":{"code":0,"message":"not initialized"}"#, "0 not initialized"), (#""result":{}"#, "what is no answer to it"),
    ])
    func anAdminsChoiceMakesNoServerModern(answer: String, _ says: String) throws {
        var bench = BackBench(era: .modern)
        try bench.send(1)
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),\#(answer)}"#)
        #expect(bench.log.last == "failed the server does not speak 2026-07-28: it answered server/discover with " + says)
        #expect(bench[1] == "not_delivered")
    }

    /// Codes of a bridge in front of it, and of our own: whoever did not get it has refused nothing.
    @Test(arguments: [1001, 1002]) func whoWasNotReachedHasRefusedNothing(code: Int) throws {
        var bench = BackBench(era: .legacy)
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),"error":{"code":\#(code),"message":"the server exited with status 1"}}"#)
        #expect(bench.log.last == "failed the server exited with status 1")
    }

    /// `cat` and its like.
    @Test(arguments: [Back.EraChoice.auto, .legacy]) func anEchoIsNoServer(era: Back.EraChoice) throws {
        var bench = BackBench(era: era)
        bench.receive(try bench.next().text)
        #expect(bench.log.last == "failed the server sends back what it is sent: it is no MCP server")
    }

    @Test(arguments: [
        #""error":{"code":-32603,"message":"cannot"}"#, #""result":{"capabilities":{}}"#,
        #""result":{"protocolVersion":"1999-01-01","capabilities":{},"serverInfo":{"name":"n","version":"1"}}"#,
    ]) func failedHandshakeFailsTheCalls(answer: String) throws {
        var bench = BackBench(era: .legacy)
        try bench.send(1)
        let id = try bench.next("id").text
        bench.receive(#"{"jsonrpc":"2.0","id":\#(id),\#(answer)}"#)
        #expect(bench.log.last?.hasPrefix("failed ") == true && bench[1] == "not_delivered")
        try bench.send(2)
        #expect(bench[2] == "not_delivered")
    }

    @Test func handshakeTimesOut() throws {
        var bench = BackBench(era: .legacy)
        try bench.send(1)
        bench.perform(bench.back.timerFired(.handshake))
        #expect(bench.log.last?.hasPrefix("failed ") == true && bench[1] == "not_delivered")
    }

    /// However long a server is silent, in its handshake, at work or at rest, no timer makes it a ping.
    @Test(.tags(.failure16), arguments: [Era.legacy, .modern]) func noTimerPings(era: Era) throws {
        var starting = BackBench(era: era == .legacy ? .legacy : .auto)
        var bench = try BackBench(ready: era)
        try bench.send(1, #""method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}}"#)
        if era == .legacy {
            bench.receive(#"{"jsonrpc":"2.0","id":"e","method":"elicitation/create","params":{"message":"who?","requestedSchema":{"type":"object"}}}"#)
            #expect(bench.timers.count == 1, "a question waits")
        }
        #expect(!starting.timers.isEmpty)
        for timer in starting.timers { starting.perform(starting.back.timerFired(timer)) }
        for timer in bench.timers { bench.perform(bench.back.timerFired(timer)) }
        let methods = (starting.lines + bench.lines).compactMap { $0["method"]?.stringValue }
        #expect(methods.contains("tools/call") && !methods.contains("ping"), "\(methods)")
    }

    @Test(.tags(.failure10)) func noiseBeforeTheAnswerDoesNotMatter() throws {
        var bench = BackBench()
        let id = try bench.next("id").text
        bench.receive("Starting server v1.0…")
        bench.receive("{\"level\":\"info\"}")
        bench.receive("")
        bench.receive("\u{FEFF}{\"jsonrpc\":\"2.0\",\"id\":\(id),\"result\":{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{}}}\r\n")
        #expect(bench.back.era == .modern && bench.back.counters.noise == 2)
    }
}
