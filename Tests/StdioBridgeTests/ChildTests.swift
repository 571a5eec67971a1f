import Glibc
import JSONText
import MCP
import NIOCore
import StdioBridge
import TestSupport
import Testing

struct ChildTests {
    @Test(.tags(.failure09)) func answersInBothEras() async throws {
        for fixture in ["fixture.py", "modern.py", "banner.py", "dies_on_probe.py"] {
            try await Rig.with(fixture) { rig in
                #expect(await rig.call("echo", #"{"text":"grüße"}"#).text == "grüße", "\(fixture)")
                let report = await rig.reports()
                #expect(report.first?.era == (fixture == "modern.py" ? "modern" : "legacy"))
            }
        }
    }

    @Test(.tags(.failure09)) func aServerThatIsSilentOnTheProbeIsLegacy() async throws {
        try await Rig.with("silent_on_probe.py") { rig in
            #expect(await rig.call("echo", #"{"text":"at last"}"#).text == "at last")
            // The verdict is kept: the next session is not probed again.
            #expect(await rig.call("echo", #"{"text":"x"}"#, session: "other").text == "x")
            #expect(rig.log.count { $0.contains("asked: server/discover") } == 1)
        }
    }

    @Test(.tags(.failure10)) func aBannerIsCountedAndKept() async throws {
        try await Rig.with("banner.py") { rig in
            #expect(await rig.call("echo", #"{"text":"x"}"#).text == "x")
            #expect(await rig.reports().first?.noiseLines == 1)
            #expect(rig.log.contains { $0.contains("Welcome to the banner") })
        }
    }

    @Test(.tags(.failure10)) func noiseDoesNotDisturb() async throws {
        try await Rig.with { rig in
            #expect(await rig.call("noise").text == "noisy")
            #expect(await rig.call("echo", #"{"text":"still"}"#).text == "still")
            #expect((await rig.reports().first?.noiseLines ?? 0) >= 3)
        }
    }

    @Test func getsExactlyWhatIsConfigured() async throws {
        try await Rig.with(environment: ["PATH=/usr/bin:/bin", "ONLY=this"]) { rig in
            let identity = try #require(await rig.call("identity").json)
            #expect(identity["fds"] == [0, 1, 2])
            var environment = try #require(identity["environment"]?.objectValue)
            // Python coerces the C locale itself.
            environment["LC_CTYPE"] = nil
            #expect(environment == JSONObject([("PATH", "/usr/bin:/bin"), ("ONLY", "this")]))
            #expect(identity["sid"] == identity["pid"])
            #expect(identity["pgid"] == identity["pid"])
        }
    }

    @Test(.tags(.failure21)) func progressComesBackUnderTheCallersToken() async throws {
        try await Rig.with { rig in
            let pending = rig.start("progress", #"{"steps":4}"#, progress: true)
            #expect(await pending.reply().text == "done")
            #expect(pending.notifications.count == 4)
            #expect(pending.notifications.allSatisfy { $0.contains(#""mine""#) })
        }
    }

    @Test(.tags(.failure19)) func cancelReachesTheChildUnderItsOwnId() async throws {
        try await Rig.with { rig in
            _ = await rig.call("echo")
            let pending = rig.start("hang", progress: true)
            await eventually("the call runs") { !pending.notifications.isEmpty }
            pending.cancel()
            #expect(await pending.reply().failure?.kind == .outcomeUnknown)
            let ids = try #require(await rig.call("cancellations").json?.arrayValue)
            #expect(ids.count == 1)
            // The caller's id was 7; the child knows another.
            #expect(ids[0].intValue != nil && ids[0] != 7)
        }
    }

    @Test(.tags(.failure06)) func deathInACallIsToldAtOnceWithItsStatus() async throws {
        try await Rig.with { rig in
            _ = await rig.call("echo")
            let other = rig.start("hang", progress: true)
            await eventually("the other call runs") { !other.notifications.isEmpty }
            let reply = await rig.call("crash", #"{"status":42}"#)
            #expect(reply == .failed(.outcomeUnknown, "the server exited with status 42"))
            // Its callers are not shown what it wrote, and can say where that is: one name for all of them.
            let incidents = rig.log.filter { $0.hasPrefix("incident ") }
            #expect(incidents.count == 1 && incidents[0].hasSuffix(": the server exited with status 42"), "\(incidents)")
            // No timer of the bridge's is as short as what a busy host may need: told by the death, not by a deadline.
            #expect(await other.reply() == .failed(.outcomeUnknown, "the server exited with status 42"))
            let failure = await rig.on { $0.lastFailure } ?? nil
            #expect(failure?.exit == 42)
            #expect(failure?.stderr.contains("about to crash") == true)
            let again = await rig.call("echo", #"{"text":"again"}"#)
            #expect(again.text == "again")
            #expect(again.meta?["berth/restarted"] == true)
            #expect(await rig.call("echo").meta == nil)
            #expect(await rig.reports().first?.starts == 2)
        }
    }

    @Test(.tags(.failure06)) func deathBySignalIsToldWithTheSignal() async throws {
        // With the product's own patience: the end of the output may be seen before the end of the process.
        try await Rig.with { rig in
            let reply = await rig.call("abort")
            #expect(reply == .failed(.outcomeUnknown, "the server was killed by signal 9"))
            #expect(await rig.call("echo", #"{"text":"again"}"#).text == "again")
        }
    }

    @Test(.tags(.failure06)) func aMuteServerIsReplaced() async throws {
        try await Rig.with(limits: { $0.rung = .milliseconds(200) }) { rig in
            #expect(await rig.call("mute") == .failed(.outcomeUnknown, "the server closed its output"))
            #expect(await rig.call("echo", #"{"text":"again"}"#).text == "again")
        }
    }

    @Test(.tags(.failure08)) func aServerThatDoesNotStartIsToldWithItsReason() async throws {
        try await Rig.with("fails_to_start.py") { rig in
            let reply = await rig.call("echo")
            #expect(reply == .failed(.notDelivered, "the server exited with status 78"))
            let failure = await rig.on { $0.lastFailure } ?? nil
            #expect(failure?.stderr.contains("no configuration found") == true)
        }
    }

    @Test(.tags(.failure08, .failure09)) func aServerThatNeverAnswersTheHandshakeIsEnded() async throws {
        try await Rig.with("never_ready.py", limits: { ($0.start, $0.rung) = (.seconds(6), .milliseconds(100)) }) { rig in
            let reply = await rig.call("echo")
            #expect(reply == .failed(.notDelivered, "the server did not answer the handshake within 6 s"))
            let failure = await rig.on { $0.lastFailure } ?? nil
            #expect(failure?.stderr.contains("waiting for a database") == true)
            await eventually("its process is gone") { await rig.reports().first?.pid == nil }
        }
    }

    @Test(.tags(.failure11)) func aFloodOfStderrDoesNotStopTheServer() async throws {
        try await Rig.with { rig in
            let begun = NIODeadline.now()
            #expect(await rig.call("flood").text == "flooded")
            #expect(await rig.call("echo", #"{"text":"alive"}"#).text == "alive")
            // The bound is a rate: a burst of 400, and 100 lines for each second that it took, each perhaps with a line on those dropped.
            let seconds = Int((NIODeadline.now() - begun).nanoseconds / 1_000_000_000) + 1
            #expect(rig.log.count <= 2 * (400 + 100 * seconds))
            #expect((await rig.reports().first?.stderrBytes ?? 0) > 1_000_000)
        }
    }

    @Test func valuesAreMaskedInTheLog() async throws {
        try await Rig.with("needs_token.py", environment: ["API_TOKEN=top-secret-token"], mask: ["top-secret-token"]) { rig in
            #expect(await rig.call("token").text == "top-secret-token")
            await eventually("the greeting") { rig.log.contains { $0.contains("starting with token ***") } }
            #expect(!rig.log.contains { $0.contains("top-secret") })
        }
    }

    @Test(.tags(.failure13)) func aSlowCallerLosesProgressButNotTheAnswer() async throws {
        try await Rig.with { rig in
            let pending = rig.start("many", #"{"count":1000,"size":100}"#, progress: true, demand: .pause)
            #expect(await pending.reply().text == "done")
            #expect(pending.notifications.count <= 257)
        }
    }

    @Test(.tags(.failure22)) func aDeadlineEndsTheCall() async throws {
        try await Rig.with { rig in
            _ = await rig.call("echo")
            let reply = await rig.start("hang", deadline: .milliseconds(200)).reply()
            #expect(reply == .failed(.outcomeUnknown, "the server did not answer in time"))
            #expect(await rig.call("cancellations").json?.arrayValue?.count == 1)
        }
    }
}
