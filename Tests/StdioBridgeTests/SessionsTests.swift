import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@testable import StdioBridge

struct SessionsTests {
    @Test(.tags(.failure18)) func everySessionHasItsOwnChild() async throws {
        try await Rig.with { rig in
            let pids = await withTaskGroup(of: (String, Int?).self) { group in
                for number in 0..<4 {
                    group.addTask { ("\(number)", await rig.call("identity", session: "\(number)").json?["pid"]?.intValue) }
                }
                return await group.reduce(into: [String: Int]()) { $0[$1.0] = $1.1 }
            }
            #expect(Set(pids.values).count == 4)
            #expect(await rig.call("identity", session: "2").json?["pid"]?.intValue == pids["2"])
            let echoes = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<100 {
                    group.addTask { await rig.call("echo", "{\"text\":\"\(number)\"}", session: "\(number % 4)").text == "\(number)" }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(echoes == 100)
        }
    }

    @Test func otherCredentialsAreAnotherChild() async throws {
        try await Rig.with { rig in
            let first = await rig.call("identity", fingerprint: "a").json?["pid"]?.intValue
            let second = await rig.call("identity", fingerprint: "b").json?["pid"]?.intValue
            #expect(first != nil && second != nil && first != second)
            await eventually("the old one ends") { await rig.reports().count == 1 }
            #expect(!isAlive(first ?? 0))
        }
    }

    @Test(.tags(.failure03)) func theCapMakesRoomForTheIdleAndRefusesOverTheBusy() async throws {
        try await Rig.with(limits: { ($0.children, $0.room) = (2, .seconds(15)) }) { rig in
            _ = await rig.call("echo", session: "a")
            let busy = rig.start("hang", session: "b", progress: true)
            await eventually("b is busy") { !busy.notifications.isEmpty }
            #expect(await rig.call("echo", #"{"text":"c"}"#, session: "c").text == "c")
            let alsoBusy = rig.start("hang", session: "c", progress: true)
            await eventually("c is busy") { !alsoBusy.notifications.isEmpty }
            #expect(await rig.call("echo", session: "d") == .failed(.notDelivered, "the server's sessions are all busy"))
            #expect(await rig.reports().count == 2)
            busy.cancel()
            alsoBusy.cancel()
        }
    }

    @Test func theCapHoldsWhileOneIsStillLeaving() async throws {
        try await Rig.with("ignores_eof.py", limits: { ($0.children, $0.rung) = (2, .milliseconds(400)) }) { rig in
            let first = try #require(await rig.call("identity", session: "a").json?["pid"]?.intValue)
            let second = try #require(await rig.call("identity", session: "b").json?["pid"]?.intValue)
            // Two at once, and each takes the ladder's whole length to make room.
            let waiting = [rig.start("identity", session: "c"), rig.start("identity", session: "d")]
            // Both at one moment: a later look might find the first of them gone.
            await eventually("they wait for room") {
                let reports = await rig.reports()
                return reports.count == 4 && reports.count { $0.pid != nil } == 2
            }
            for pending in waiting {
                let third = try #require(await pending.reply().json?["pid"]?.intValue)
                #expect(third != first && third != second)
            }
            #expect(!isAlive(first) && !isAlive(second))
        }
    }

    @Test func whoWaitsForRoomDoesNotWaitForEver() async throws {
        try await Rig.with("ignores_eof.py", limits: { ($0.children, $0.rung, $0.room) = (1, .milliseconds(1500), .seconds(2)) }) { rig in
            _ = await rig.call("echo", session: "a")
            let reply = await rig.call("echo", session: "b")
            #expect(reply == .failed(.notDelivered, "the server's sessions are all busy"))
            // Nothing of it waits any more; when it comes again it has a seat.
            #expect(await rig.end("b") == false)
            await eventually("the other is gone") { await rig.reports().isEmpty }
            #expect(await rig.call("echo", #"{"text":"b"}"#, session: "b").text == "b")
        }
    }

    @Test func aSessionsEndReachesItsChildThatIsLeaving() async throws {
        try await Rig.with { rig in
            let busy = rig.start("hang", fingerprint: "a", progress: true)
            await eventually("a call runs") { !busy.notifications.isEmpty }
            _ = await rig.call("echo", fingerprint: "b")
            #expect(await rig.reports().count == 2)
            #expect(await rig.end("s"))
            #expect(await busy.reply().failure?.kind == .outcomeUnknown)
            #expect(await rig.reports().isEmpty)
        }
    }

    @Test(.tags(.failure03)) func anIdleChildEndsAndComesBack() async throws {
        try await Rig.with(limits: { $0.idle = .milliseconds(100) }) { rig in
            let first = await rig.call("identity").json?["pid"]?.intValue
            await eventually("idle end") { await rig.reports().isEmpty }
            #expect(!isAlive(first ?? 0))
            #expect(await rig.call("identity").json?["pid"]?.intValue != first)
        }
    }

    /// What a modern server asked is an answer: its process has nothing to do until the client comes back, and may know of it in memory alone.
    @Test func whoWasAskedFindsTheSameProcess() async throws {
        try await Rig.with("modern_asks.py", limits: { $0.idle = .milliseconds(100) }) { rig in
            guard case .result(let asked) = await rig.start("any", capabilities: #"{"elicitation":{}}"#).reply() else {
                return #expect(Bool(false), "no question")
            }
            let state = try #require(asked["requestState"]).text
            let pid = await rig.reports().first?.pid
            let sweeps = try #require(await rig.on { $0.sweeps })
            await eventually("longer than a child may idle") { await rig.on { $0.sweeps } ?? 0 >= sweeps + 8 }
            let more = #","requestState":\#(state),"inputResponses":{"q":{"action":"decline"}}"#
            let answer = await rig.start("any", capabilities: #"{"elicitation":{}}"#, more: more).reply()
            #expect(answer.text.flatMap { Int32($0) } == pid && pid != nil, "\(answer)")
        }
    }

    /// What one caller declares and its server refuses in the handshake is told to no other caller's process.
    @Test(arguments: [true, false]) func whatAServerRefusedIsForgotten(isProbe: Bool) async throws {
        try await Rig.with("strict.py") { rig in
            let odd = #"{"roots":{},"experimental":{"odd":{}}}"#
            if isProbe {
                let refused = rig.loop.makePromise(of: Bool.self)
                _ = await rig.on { sessions in
                    sessions.warm(for: .legacy, declaring: ByteBuffer(string: odd)) { result in
                        if case .failure(let why) = result { refused.succeed(why.reason.contains("odd")) } else { refused.succeed(false) }
                    }
                }
                let isRefused = try await refused.futureResult.get()
                #expect(isRefused)
            } else {
                #expect(await rig.start("declared", capabilities: odd).reply().failure?.reason.contains("odd") == true)
            }
            var answer = await rig.start("declared", capabilities: #"{"roots":{}}"#).reply()
            // Whoever comes while the refusing process is on its way out is told why it refused.
            for _ in 0..<20 where answer.json == nil { answer = await rig.start("declared", capabilities: #"{"roots":{}}"#).reply() }
            #expect(answer.json == ["roots": [:]], "\(answer)")
        }
    }

    /// Clients that share a legacy server are served by processes that were told of what each can be asked; whoever comes later is too.
    @Test func whatCanBeAskedMakesRoom() async throws {
        try await Rig.with(limits: { $0.rest = .zero }) { rig in
            let odd = [#"{"sampling":{}}"#, #"{"roots":{}}"#, #"{"elicitation":{"url":{}}}"#, #"{"sampling":{},"roots":{}}"#]
            for declared in odd { #expect(await rig.start("declared", capabilities: declared).reply().json != nil) }
            let answer = await rig.start("declared", capabilities: #"{"elicitation":{"form":{}}}"#).reply()
            #expect(answer.json == ["elicitation": ["form": [:]]], "\(answer)")
        }
    }

    /// That the session's server is another one is told with what its client reads, and not with a word between us.
    @Test func aRestartIsToldToTheClient() async throws {
        try await Rig.with { rig in
            _ = await rig.call("echo")
            #expect(await rig.call("crash").failure?.kind == .outcomeUnknown)
            let busy = rig.start("progress_then_wait", #"{"seconds":60}"#, progress: true)
            await eventually("it runs") { !busy.notifications.isEmpty }
            _ = await rig.send(#"{"jsonrpc":"2.0","id":1,"method":"berth/rootsChanged"}"#).reply()
            busy.cancel()
            _ = await busy.reply()
            #expect(await rig.call("echo").meta?["berth/restarted"] == true)
        }
    }

    /// The answer to a question outside of calls reaches the process that asked, also when that takes no new call.
    @Test func theAnswerFindsAChildThatIsLeaving() async throws {
        try await Rig.with("asks_by_itself.py") { rig in
            let mark = #""_meta":{"berth/session":true,"io.modelcontextprotocol/clientCapabilities":{"roots":{}}}"#
            let listen = rig.send(
                #"{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},\#(mark)}}"#)
            await eventually("it asks") { listen.notifications.contains { $0.contains("berth/asked") } }
            let asked = try JSONValue(parsing: try #require(listen.notifications.first { $0.contains("berth/asked") }))
            let handle = try #require(asked["params"]?["requestState"]).text
            let busy = rig.start("hang", progress: true, capabilities: #"{"roots":{}}"#)
            await eventually("it is busy") { !busy.notifications.isEmpty }
            _ = await rig.on { sessions in
                if let child = sessions.children[SessionKey(id: "s")] { sessions.retire(child, "another one needs its seat") }
            }
            let answer = rig.send(
                #"{"jsonrpc":"2.0","id":1,"method":"berth/answer","params":{"requestState":\#(handle),"inputResponses":{"answer":{"roots":[]}}}}"#)
            _ = await answer.reply()
            await eventually("it has the answer") { rig.log.contains { $0.contains("roots are []") } }
            busy.cancel()
        }
    }

    /// A question of no call keeps no seat from a session that needs one; its client hears that nobody waits for it.
    @Test func aQuestionOfNoCallKeepsNoSeat() async throws {
        try await Rig.with("asks_by_itself.py", limits: { $0.children = 1 }) { rig in
            let mark = #""_meta":{"berth/session":true,"io.modelcontextprotocol/clientCapabilities":{"roots":{}}}"#
            let listen = rig.send(
                #"{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},\#(mark)}}"#)
            await eventually("it asks") { listen.notifications.contains { $0.contains("berth/asked") } }
            #expect(await rig.call("echo", #"{"text":"b"}"#, session: "b", owner: "b").text == "b")
            #expect(listen.notifications.last?.contains("berth/withdrawn") == true, "\(listen.notifications)")
        }
    }

    /// Of a process that several sessions use nobody knows whose it is what it says by itself.
    @Test func whatSeveralUseIsNobodysToHear() async throws {
        try await Rig.with("asks_by_itself.py", limits: { $0.sharing = .principal }) { rig in
            let mark = #""_meta":{"berth/session":true,"io.modelcontextprotocol/clientCapabilities":{"roots":{}}}"#
            let listen = rig.send(
                #"{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},\#(mark)}}"#)
            await eventually("it was refused") { rig.log.contains { $0.contains("refused: -32601") } }
            #expect(listen.notifications.count == 1, "\(listen.notifications)")
            listen.cancel()
        }
    }

    @Test(.tags(.failure01)) func endingASessionLeavesNothing() async throws {
        try await Rig.with { rig in
            let pid = try #require(await rig.call("identity").json?["pid"]?.intValue)
            let helper = try #require(await rig.call("helper").json?.intValue)
            let busy = rig.start("hang", progress: true)
            await eventually("a call runs") { !busy.notifications.isEmpty }
            #expect(await rig.end("s"))
            #expect(!isAlive(pid))
            await eventually("its helper is gone") { !isAlive(helper) }
            #expect(await busy.reply().failure?.kind == .outcomeUnknown)
            #expect(await rig.end("s") == false)
        }
    }

    @Test(.tags(.failure05)) func theLadderEndsAServerThatIgnoresEverything() async throws {
        try await Rig.with("ignores_eof.py", limits: { $0.rung = .milliseconds(150) }) { rig in
            let pid = try #require(await rig.call("identity").json?["pid"]?.intValue)
            #expect(await rig.end("s"))
            #expect(!isAlive(pid))
        }
    }

    @Test func aWarmChildServesTheFirstSession() async throws {
        try await Rig.with { rig in
            let warmed = rig.loop.makePromise(of: String.self)
            _ = await rig.on { sessions in
                sessions.warm { result in warmed.succeed((try? result.get()).map { String(buffer: $0.serverInfo) } ?? "failed") }
            }
            let info = try await warmed.futureResult.get()
            #expect(info.contains("fixture"))
            let pid = await rig.reports().first?.pid
            #expect(await rig.call("identity", session: "x").json?["pid"]?.intValue == pid.map(Int.init))
            #expect(await rig.call("identity", session: "y").json?["pid"]?.intValue != pid.map(Int.init))
        }
    }

    @Test func drainLetsCallsFinish() async throws {
        try await Rig.with { rig in
            _ = await rig.call("echo")
            let pending = rig.start("wait", #"{"seconds":0.3}"#)
            _ = await rig.on { $0.count }
            let drained = rig.loop.makePromise(of: Void.self)
            _ = await rig.on { $0.drain { drained.succeed() } }
            #expect(await rig.call("echo").failure?.kind == .notDelivered)
            #expect(await pending.reply().text == "waited")
            try await drained.futureResult.get()
            #expect(await rig.reports().isEmpty)
        }
    }

    /// A call may take longer than a child may idle: its time begins when that is over.
    @Test func idlenessBeginsWithTheEndOfACall() async throws {
        try await Rig.with { rig in
            func lastUse() async -> NIODeadline? { await rig.on { $0.children[SessionKey(id: "s")]?.lastUse } ?? nil }
            let call = rig.start("hang", progress: true)
            await eventually("it runs") { !call.notifications.isEmpty }
            let running = try #require(await lastUse())
            call.cancel()
            _ = await call.reply()
            #expect(try #require(await lastUse()) > running)
            // A listener does not make it busy.
            let listen = rig.send(#"{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}"#)
            await eventually("acknowledged") { !listen.notifications.isEmpty }
            let before = NIODeadline.now()
            listen.cancel()
            _ = await listen.reply()
            #expect(try #require(await lastUse()) < before)
        }
    }
}
