import JSONText
import MCP
import NIOCore
import StdioBridge
import TestSupport
import Testing

/// Several principals at one server.
struct FairnessTests {
    private static func hang(_ rig: Rig, _ sessions: [String], _ owner: String) async -> [Pending] {
        var calls: [Pending] = []
        for session in sessions {
            let call = rig.start("hang", session: session, owner: owner, progress: true)
            await eventually("\(session) is busy") { !call.notifications.isEmpty }
            calls.append(call)
        }
        return calls
    }

    @Test func onePrincipalsBusySessionsLeaveASeatForAnother() async throws {
        try await Rig.with(limits: { ($0.children, $0.room) = (3, .milliseconds(300)) }) { rig in
            let busy = await Self.hang(rig, ["a1", "a2"], "ann")
            #expect(await rig.call("echo", session: "a3", owner: "ann") == .failed(.notDelivered, "the server's sessions are all busy"))
            #expect(await rig.call("echo", #"{"text":"b"}"#, session: "b1", owner: "bob").text == "b")
            for call in busy { call.cancel() }
        }
    }

    @Test func whoOpensManySessionsPaysWithItsOwn() async throws {
        try await Rig.with(limits: { $0.children = 3 }) { rig in
            let pid = await rig.call("identity", session: "b", owner: "bob").json?["pid"]
            for number in 0..<6 { #expect(await rig.call("echo", session: "a\(number)", owner: "ann").text == "") }
            let again = await rig.call("identity", session: "b", owner: "bob")
            #expect(again.json?["pid"] == pid && again.meta == nil)
        }
    }

    @Test func whoWaitsGetsTheFirstIdleMoment() async throws {
        try await Rig.with(limits: { $0.children = 1 }) { rig in
            let busy = await Self.hang(rig, ["a"], "ann")
            let waiting = rig.start("echo", #"{"text":"b"}"#, session: "b", owner: "bob")
            await eventually("it waits") { await rig.reports().count == 2 }
            busy[0].cancel()
            #expect(await waiting.reply().text == "b")
        }
    }

    @Test func whoIsNeverIdleMakesRoomAllTheSame() async throws {
        try await Rig.with(limits: { ($0.children, $0.patience, $0.drain) = (3, .milliseconds(500), .milliseconds(50)) }) { rig in
            let busy = await Self.hang(rig, ["a1", "a2"], "ann") + Self.hang(rig, ["b1"], "bob")
            #expect(await rig.call("echo", #"{"text":"c"}"#, session: "c1", owner: "cid").text == "c")
            // Of whoever had most, and that one's call is not passed over in silence.
            #expect(await busy[0].reply().failure?.kind == .outcomeUnknown)
            #expect(!busy[1].isDone && !busy[2].isDone)
            for call in busy { call.cancel() }
        }
    }

    @Test func withinItsShareACallIsLetFinish() async throws {
        try await Rig.with(limits: { ($0.children, $0.patience, $0.drain) = (1, .milliseconds(20), .milliseconds(20)) }) { rig in
            _ = await rig.call("echo", session: "a", owner: "ann")
            let busy = rig.start("wait", #"{"seconds":0.5}"#, session: "a", owner: "ann")
            let waiting = rig.start("echo", #"{"text":"b"}"#, session: "b", owner: "bob")
            #expect(await busy.reply().text == "waited")
            #expect(await waiting.reply().text == "b")
        }
    }

    @Test func whoeverGaveUpWaitingHasNoPlaceLeft() async throws {
        try await Rig.with(limits: { $0.children = 1 }) { rig in
            let busy = await Self.hang(rig, ["a"], "ann")
            let waiting = rig.start("echo", session: "b", owner: "bob")
            await eventually("it waits") { await rig.reports().count == 2 }
            waiting.cancel()
            #expect(await waiting.reply().failure?.kind == .notDelivered)
            #expect(await rig.reports().count == 1)
            busy[0].cancel()
        }
    }

    @Test func aSessionHearsThatItsChildMadeRoom() async throws {
        try await Rig.with(limits: { $0.children = 1 }) { rig in
            #expect(await rig.call("echo", session: "a").meta == nil)
            #expect(await rig.call("echo", session: "b").meta == nil)
            #expect(await rig.call("echo", session: "a").meta?["berth/restarted"] == true)
            #expect(await rig.call("echo", session: "a").meta == nil)
            // Ended by its own will, it has nothing to hear.
            #expect(await rig.call("echo", session: "b").meta?["berth/restarted"] == true)
            #expect(await rig.end("a") == false)
            #expect(await rig.call("echo", session: "a").meta == nil)
        }
    }

    @Test func aSessionHearsThatItsChildWasIdle() async throws {
        try await Rig.with(limits: { $0.idle = .milliseconds(100) }) { rig in
            _ = await rig.call("echo")
            await eventually("idle end") { await rig.reports().isEmpty }
            #expect(await rig.call("echo").meta?["berth/restarted"] == true)
        }
    }

    @Test func whoIsRefusedStillHearsOfItLater() async throws {
        try await Rig.with(limits: { ($0.children, $0.room) = (1, .seconds(15)) }) { rig in
            _ = await rig.call("echo", session: "a")
            let busy = await Self.hang(rig, ["b"], "")
            #expect(await rig.call("echo", session: "a").failure?.kind == .notDelivered)
            busy[0].cancel()
            #expect(await rig.call("echo", session: "a").meta?["berth/restarted"] == true)
        }
    }
}
