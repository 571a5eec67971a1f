import Glibc
import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@testable import StdioBridge

/// A child gets another process because its program has changed.
@Suite struct RenewalTests {
    private func pid(_ rig: Rig, _ session: String = "s") async -> Int? { await rig.call("identity", session: session).json?["pid"]?.intValue }

    @Test func callsFinishAndSessionsLiveOn() async throws {
        try await Rig.with { rig in
            let first = try #require(await pid(rig))
            let running = rig.start("progress_then_wait", #"{"seconds":0.5}"#, progress: true)
            await eventually("it runs") { !running.notifications.isEmpty }
            _ = await rig.on { $0.renew() }
            let next = rig.start("identity")
            #expect(await running.reply().text == "waited")
            let answer = await next.reply()
            #expect(answer.json?["pid"]?.intValue != first && answer.meta?["berth/restarted"] == .bool(true))
            #expect(!isAlive(first))
            #expect(await rig.reports().count == 1)
            #expect(await rig.on { $0.lastFailure == nil } == true)
            #expect(!rig.log.contains { $0.contains("exited") }, "\(rig.log)")
        }
    }

    /// It does not wait for the next call: whoever listens is told by a process that has just come up.
    @Test func listenersHearOfIt() async throws {
        try await Rig.with("resources.py") { rig in
            let listen = rig.send(
                #"{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}"#)
            await eventually("acknowledged") { listen.notifications.count == 1 }
            _ = await rig.on { $0.renew() }
            await eventually("told") { listen.notifications.contains { $0.contains("notifications/tools/list_changed") } }
            #expect(!listen.isDone)
        }
    }

    /// Nobody waits: nothing is started before the next call.
    @Test func anIdleSessionsProcessEnds() async throws {
        try await Rig.with { rig in
            let first = try #require(await pid(rig))
            _ = await rig.on { $0.renew() }
            await eventually("it is gone") { !isAlive(first) }
            await eventually("it sleeps") { await rig.reports().first?.state == "idle" }
            let second = await pid(rig)
            #expect(second != nil && second != first)
        }
    }

    /// A server that failed for long is started at once: the change may be what mends it.
    @Test func aChangeEndsABackOff() async throws {
        try await Rig.with("fails_to_start.py") { rig in
            var last = await rig.call("echo")
            for _ in 0..<8 where last.failure?.reason.contains("next start in") != true { last = await rig.call("echo") }
            #expect(last.failure?.reason.contains("next start in") == true, "\(last)")
            _ = await rig.on { $0.renew() }
            #expect(await rig.call("echo").failure?.reason.contains("next start in") == false)
        }
    }

    /// What the former program answers while it is being replaced says nothing of the new one.
    @Test func aProgramThatChangesInItsHandshakeIsProbedAnew() async throws {
        try await withFolder { folder in
            let gate = folder + "/gate"
            try await Rig.with(
                "changes.py", arguments: [folder + "/mark", "gated.py", "modern.py"], environment: ["PATH=/usr/bin:/bin", "GATE=" + gate]
            ) { rig in
                let call = rig.start("echo", #"{"text":"a"}"#, session: "a")
                await eventually("it is probed") { await rig.reports().first?.state == "probing" }
                _ = await rig.on { $0.renew() }
                #expect(mkdir(gate, 0o700) == 0)
                #expect(await call.reply().text == "a")
                #expect(await rig.call("echo", #"{"text":"b"}"#, session: "b").text == "b")
                #expect(await rig.reports().map(\.era) == ["modern", "modern"])
            }
        }
    }

    @Test func messagesAreShown() async throws {
        try await Rig.with(traces: true) { rig in
            #expect(await rig.call("echo", #"{"text":"x"}"#).text == "x")
            let shown = rig.log.filter { $0.contains("→") || $0.contains("←") }
            #expect(shown.contains { $0.wholeMatch(of: /\[\d+\] → tools\/call id \d+, \d+ B/) != nil }, "\(shown)")
            #expect(shown.contains { $0.wholeMatch(of: /\[\d+\] ← result of tools\/call id \d+, \d+\.\d ms, \d+ B/) != nil }, "\(shown)")
            #expect(shown.contains { $0.contains("→ initialize") } && shown.contains { $0.contains("→ notifications/initialized") }, "\(shown)")
        }
    }
}
