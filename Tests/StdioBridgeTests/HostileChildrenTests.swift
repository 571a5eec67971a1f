import Glibc
import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@testable import StdioBridge

extension Rig {
    /// A bridge over one of the servers of `hostile.py`.
    static func hostile(
        _ name: String = "Server", limits: (inout BridgeLimits) -> Void = { _ in }, body: (Rig) async throws -> Void
    ) async throws {
        try await with("hostile.py", environment: ["PATH=/usr/bin:/bin", "AS=\(name)"], limits: limits, body: body)
    }
}

/// Servers whose streams go wrong, each in its own way, and what follows: see Tests/Fixtures/hostile.py.
struct HostileChildrenTests {
    @Test(.tags(.failure12)) func aMessageMayComeInAnyPieces() async throws {
        try await Rig.hostile("SplitFrames") { rig in
            #expect(await rig.call("echo", #"{"text":"grüße 漢字 😀"}"#).text == "grüße 漢字 😀")
            let glued = rig.start("glued", #"{"text":"both"}"#, progress: true)
            #expect(await glued.reply().text == "both")
            #expect(glued.notifications.count == 1 && glued.notifications[0].contains(#""mine""#))
            #expect(await rig.reports().first?.noiseLines == 0)
        }
    }

    /// With the product's own bounds: a line of nearly 16 MiB is an answer, one of 20 MiB fails its own call alone.
    @Test(.tags(.failure12)) func aLineOf16MiBPassesAndOneOf20FailsAlone() async throws {
        try await Rig.hostile { rig in
            #expect(await rig.call("big", "{\"size\":\((16 << 20) - 200)}").text?.utf8.count == (16 << 20) - 200)
            let other = rig.start("hang", progress: true)
            await eventually("another call runs") { !other.notifications.isEmpty }
            let tooLarge = await rig.call("big", "{\"size\":\(20 << 20)}")
            #expect(
                tooLarge
                    == .error(-32603, "Internal error: the server's answer is not acceptable: too large; a message has at most 16777216 bytes"))
            #expect(rig.log.contains { $0.hasSuffix("exceeds the limit of 16777216") })
            #expect(await rig.call("echo", #"{"text":"alive"}"#).text == "alive")
            #expect(!other.isDone)
            #expect(await rig.reports().first?.starts == 1)
            other.cancel()
            let text = String(repeating: "q", count: 2_000_000)
            #expect(await rig.call("echo", "{\"text\":\"\(text)\"}").text == text)
        }
    }

    /// Half an answer is none: what is told is the death.
    @Test(.tags(.failure06, .failure12)) func aDeathInTheMiddleOfALine() async throws {
        try await Rig.hostile { rig in
            _ = await rig.call("echo")
            #expect(await rig.call("half") == .failed(.outcomeUnknown, "the server exited with status 7"))
            let again = await rig.call("echo", #"{"text":"again"}"#)
            #expect(again.text == "again" && again.meta?["berth/restarted"] == true)
        }
    }

    @Test(.tags(.failure11)) func aFloodOfStderrBeforeTheFirstWord() async throws {
        try await Rig.hostile("LoudStart") { rig in
            #expect(await rig.call("echo", #"{"text":"x"}"#).text == "x")
            #expect((await rig.reports().first?.stderrBytes ?? 0) > 1 << 20)
        }
    }

    /// Neither a second answer nor its text reaches anybody.
    @Test(.tags(.failure18, .failure22)) func aSecondAnswerIsNobodys() async throws {
        try await Rig.hostile("AnswersTwice") { rig in
            for number in 0..<20 { #expect(await rig.call("echo", "{\"text\":\"\(number)\"}").text == "\(number)") }
            let pending = (0..<50).map { rig.start("echo", "{\"text\":\"\($0)\"}") }
            for (number, call) in pending.enumerated() { #expect(await call.reply().text == "\(number)") }
            #expect(await rig.reports().first?.callsInFlight == 0)
        }
    }

    /// The caller's deadline ends its call, and says what came instead; calls that are answered rightly are not disturbed.
    @Test(.tags(.failure22)) func answersUnderOtherIDsAreNobodys() async throws {
        try await Rig.hostile("WrongIDs") { rig in
            #expect(await rig.call("right").text == "right")
            let waiting = rig.start("wrong", deadline: .seconds(8))
            #expect(await rig.call("right").text == "right")
            #expect(await waiting.reply() == .failed(.outcomeUnknown, "the server did not answer in time, but answered what it had not been asked"))
            #expect(rig.log.contains { $0.hasPrefix("an answer to what the server was not asked: {") })
        }
    }

    @Test(.tags(.failure13, .failure21)) func aStormOfNotificationsReachesWhoReads() async throws {
        try await Rig.hostile { rig in
            let storm = rig.start("storm", #"{"count":5000}"#, progress: true)
            #expect(await storm.reply().text == "over")
            #expect(storm.notifications.count == 5000, "all of its progress, and none of the logs that nobody asked for")
        }
    }

    /// A burst is longer than any queue; who reads on hears all of it, and the server waits meanwhile.
    @Test(.tags(.failure13, .failure21)) func aBurstReachesWhoReadsALittleAtATime() async throws {
        try await Rig.hostile { rig in
            let burst = rig.send(Self.loudStorm, isUnsteady: true)
            #expect(await burst.reply().text == "over")
            #expect(burst.notifications.count == 2000)
            #expect(await rig.call("echo", #"{"text":"alive"}"#).text == "alive")
        }
    }

    /// Its progress is dropped first: what may not be dropped has room.
    @Test(.tags(.failure13)) func progressLeavesRoomForWhatMayNotBeDropped() async throws {
        try await Rig.hostile { rig in
            let storm = Self.loudStorm.replacing(#""_meta":{"#, with: #""_meta":{"progressToken":"p","#)
            let burst = rig.send(storm, isUnsteady: true)
            #expect(await burst.reply().text == "over")
            #expect(burst.notifications.count { $0.contains("notifications/message") } == 2000)
        }
    }

    /// What is left in the pipe when it ends is told too, its answer above all.
    @Test(.tags(.failure13)) func aServerThatEndsOverASlowCallerIsHeardToTheEnd() async throws {
        try await Rig.hostile { rig in
            let last = rig.send(Self.loudStorm.replacing(#""name":"storm""#, with: #""name":"last_words""#), isUnsteady: true)
            #expect(await last.reply().text == "that was all")
            #expect(last.notifications.count == 2000)
        }
    }

    /// Whoever shares a child waits for a caller that does not read no longer than a moment.
    @Test(.tags(.failure13)) func aCallerThatDoesNotReadHoldsNobodyElseUp() async throws {
        try await Rig.hostile(limits: { $0.unreadShared = .milliseconds(300) }) { rig in
            let slow = rig.send(Self.loudStorm, demand: .pause)
            let paused = rig.watch(Rig.pausedReading("s"))
            defer { paused.end() }
            await eventually("it holds the child up") { paused.found == true }
            #expect(await rig.start("echo", #"{"text":"alive"}"#).reply().text == "alive")
            #expect(await slow.reply() == .failed(.outcomeUnknown, "the caller did not read what the server sent"))
        }
    }

    private static let loudStorm = """
        {"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"storm","arguments":{"count":2000},"_meta":{\
        "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},\
        "io.modelcontextprotocol/logLevel":"debug"}}}
        """

    /// It loses progress, which may be lost, and its call when it does not read what may not.
    @Test(.tags(.failure13)) func aStormDrownsWhoDoesNotReadAndNobodyElse() async throws {
        try await Rig.hostile(limits: { $0.unread = .seconds(1) }) { rig in
            let slow = rig.start("storm", #"{"count":2000}"#, progress: true, demand: .pause)
            #expect(await slow.reply().text == "over")
            #expect(slow.notifications.count <= 257)
            let drowned = await rig.send(Self.loudStorm, demand: .pause).reply()
            #expect(drowned == .failed(.outcomeUnknown, "the caller did not read what the server sent"))
            #expect(await rig.call("echo", #"{"text":"alive"}"#).text == "alive")
            #expect(await rig.reports().first?.starts == 1)
        }
    }

    /// A server that reads nothing holds up its own session, within bounds, and no other.
    @Test(.tags(.failure13)) func aNeighbourFinishesAThousandCallsMeanwhile() async throws {
        try await Rig.hostile("Deaf", limits: { $0.queuedInputBytes = 1 << 20 }) { rig in
            let pid = try #require(await rig.call("identity", session: "deaf").json?["pid"]?.intValue)
            #expect(await rig.call("stop_reading", session: "deaf").text == "stopped")
            let text = String(repeating: "x", count: 600_000)
            let blocked = rig.start("echo", "{\"text\":\"\(text)\"}", session: "deaf")
            let refused = await rig.call("echo", "{\"text\":\"\(text)\"}", session: "deaf")
            #expect(refused == .failed(.notDelivered, "the server does not read its input"))
            let finished = await withTaskGroup(of: Int.self) { group in
                for caller in 0..<10 {
                    group.addTask {
                        var right = 0
                        for number in 0..<100 where await rig.call("echo", "{\"text\":\"\(caller) \(number)\"}", session: "near").text == "\(caller) \(number)" {
                            right += 1
                        }
                        return right
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(finished == 1000)
            #expect(!blocked.isDone)
            kill(pid_t(pid), SIGUSR1)
            #expect(await blocked.reply().text == text)
        }
    }

    /// Nothing pings a server to see whether it lives: some die of it, and others are busy. Neither one that works for seconds nor
    /// one that waits for as long; what the protocol's timers do however late they are is `BackProbeTests.noTimerPings`.
    @Test(.tags(.failure16)) func nobodyIsPinged() async throws {
        try await Rig.hostile("IgnoresPings") { rig in
            _ = await rig.call("seen", session: "idle")
            _ = await rig.call("seen")
            let busy = await rig.start("hang", deadline: .seconds(6)).reply()
            #expect(busy == .failed(.outcomeUnknown, "the server did not answer in time"))
            let idle = try #require(await rig.call("seen", session: "idle").json?.arrayValue)
            #expect(idle.filter { $0 == "tools/call" }.count == 2 && !idle.contains("ping"), "\(idle)")
            let listen = rig.send(#"{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}"#)
            await eventually("acknowledged") { !listen.notifications.isEmpty }
            let seen = try #require(await rig.call("seen").json?.arrayValue)
            #expect(seen.contains("tools/call") && !seen.contains("ping"))
            #expect(await rig.reports().map(\.starts) == [1, 1])
        }
    }
}
