import Glibc
import JSONText
import MCP
import NIOCore
import StdioBridge
import TestSupport
import Testing

/// The process that waits for the next session.
struct SpareTests {
    private static func on(_ limits: inout BridgeLimits) {
        limits.spare = true
        limits.spareDelay = .milliseconds(10)
    }

    /// Late enough to be told from what the probe has spoken to.
    private static func later(_ limits: inout BridgeLimits) {
        limits.spare = true
        limits.spareDelay = .milliseconds(200)
    }

    private static func spare(of rig: Rig, other than: Int? = nil) async -> Int? {
        var pid: Int?
        await eventually("a spare") {
            let report = await rig.reports().first { $0.session.isEmpty && $0.state == "parked" }
            pid = report?.pid.map(Int.init)
            return pid != nil && pid != than
        }
        return pid
    }

    @Test func theNextSessionTakesItAndAnotherFollows() async throws {
        try await Rig.with(limits: Self.on) { rig in
            let first = await rig.call("identity", session: "a").json?["pid"]?.intValue
            let spare = try #require(await Self.spare(of: rig))
            #expect(spare != first && isAlive(spare))
            #expect(await rig.call("identity", session: "b").json?["pid"]?.intValue == spare)
            let report = await rig.reports().first { $0.session == "b" }
            #expect(report?.starts == 1 && report?.era == "legacy")
            let next = try #require(await Self.spare(of: rig, other: spare))
            #expect(await rig.call("identity", session: "c").json?["pid"]?.intValue == next)
            #expect(await rig.call("identity", session: "a").json?["pid"]?.intValue == first)
        }
    }

    @Test func servesAModernServerToo() async throws {
        try await Rig.with("modern.py", limits: Self.on) { rig in
            _ = await rig.call("echo", session: "a")
            let spare = try #require(await Self.spare(of: rig))
            #expect(await rig.call("identity", session: "b").json?["pid"]?.intValue == spare)
        }
    }

    @Test func noTwoSessionsGetTheSame() async throws {
        try await Rig.with(limits: Self.on) { rig in
            _ = await rig.call("echo", session: "first")
            let spare = try #require(await Self.spare(of: rig))
            let pids = await withTaskGroup(of: Int?.self) { group in
                for number in 0..<6 { group.addTask { await rig.call("identity", session: "\(number)").json?["pid"]?.intValue } }
                return await group.reduce(into: [Int?]()) { $0.append($1) }
            }
            #expect(Set(pids).count == 6 && !pids.contains(nil))
            #expect(pids.filter { $0 == spare }.count == 1)
        }
    }

    @Test func withCredentialsNoneIsUsedOrKept() async throws {
        try await Rig.with(limits: Self.on) { rig in
            _ = await rig.call("echo", session: "a")
            let spare = try #require(await Self.spare(of: rig))
            let pid = await rig.call("identity", session: "b", fingerprint: "f").json?["pid"]?.intValue
            #expect(pid != nil && pid != spare)
            await eventually("it is let go") { !isAlive(spare) }
            _ = await rig.call("echo", session: "c")
            #expect(await rig.on { $0.sparePID } == .some(nil))
        }
        // A server that has only ever been started with credentials has none.
        try await Rig.with(limits: Self.on) { rig in
            _ = await rig.call("echo", session: "a", fingerprint: "f")
            _ = await rig.call("echo", session: "b", fingerprint: "f")
            #expect(await rig.reports().count == 2)
        }
    }

    @Test func itCountsAsAChild() async throws {
        try await Rig.with(limits: { (limits) in
            Self.on(&limits)
            limits.children = 2
        }) { rig in
            _ = await rig.call("echo", session: "a")
            let spare = try #require(await Self.spare(of: rig))
            // The second session takes the last seat: there is no room for another.
            #expect(await rig.call("identity", session: "b").json?["pid"]?.intValue == spare)
            #expect(await rig.call("echo", session: "b").text == "")
            #expect(await rig.reports().count == 2)
            // With the end of one there is.
            #expect(await rig.end("a"))
            _ = try #require(await Self.spare(of: rig))
            #expect(await rig.reports().count == 2)
        }
    }

    @Test func oneThatDiesUnusedIsNobodysCrash() async throws {
        try await Rig.with("dies_unused.py", limits: Self.on) { rig in
            #expect(await rig.call("echo", #"{"text":"a"}"#, session: "a").text == "a")
            await eventually("it died") { rig.log.contains { $0.contains("spare server process") && $0.contains("exited with status 3") } }
            #expect(await rig.on { $0.lastFailure == nil } == true)
            let answer = await rig.call("echo", #"{"text":"b"}"#, session: "b")
            #expect(answer.text == "b" && answer.meta == nil, "\(answer)")
        }
    }

    @Test func oneThatFailsItsSessionIsReplacedUnseen() async throws {
        try await Rig.with("dies_late.py", limits: Self.on) { rig in
            #expect(await rig.call("echo", #"{"text":"a"}"#, session: "a").text == "a")
            let spare = try #require(await Self.spare(of: rig))
            await eventually("it runs") { rig.log.contains("[\(spare)] started") }
            // Again and again: Python runs the handler of a signal that comes just before its read only after that read.
            await eventually("it is weary") {
                kill(pid_t(spare), SIGUSR1)
                return rig.log.contains("[\(spare)] weary")
            }
            let answer = await rig.call("identity", session: "b")
            #expect(answer.json?["pid"]?.intValue != nil && answer.json?["pid"]?.intValue != spare)
            #expect(answer.meta == nil)
            #expect(await rig.on { $0.lastFailure == nil } == true)
        }
    }

    @Test func readinessSpeaksToIt() async throws {
        try await Rig.with(limits: Self.on) { rig in
            _ = await rig.call("echo", session: "a")
            let spare = try #require(await Self.spare(of: rig))
            #expect(await rig.end("a"))
            #expect(try await rig.warm() == pid_t(spare))
            #expect(!rig.log.contains { $0.contains("spare server process") })
            // Another one that nobody spoke to takes its place.
            let next = try #require(await Self.spare(of: rig, other: spare))
            #expect(await rig.call("identity", session: "b").json?["pid"]?.intValue == next)
        }
    }

    /// What it was told of its client is nothing that a session with another could use.
    @Test func whatTheProbeSpokeToIsReplacedByOneThatNobodySpokeTo() async throws {
        try await Rig.with(limits: Self.later) { rig in
            let probed = try #require(try await rig.warm())
            let spare = try #require(await Self.spare(of: rig))
            #expect(spare != Int(probed))
            let answer = await rig.start("identity", session: "b", capabilities: #"{"roots":{}}"#).reply()
            #expect(answer.json?["pid"]?.intValue == spare, "\(answer)")
        }
    }

    /// A server that takes a lock does not meet the last moment of the process that only the probe has used.
    @Test func theFirstSessionsProcessFollowsTheProbes() async throws {
        try await withFolder { folder in
            try await Rig.with("locked.py", arguments: [folder + "/lock"], limits: { $0.handOver = .seconds(60) }) { rig in
                let probed = try #require(try await rig.warm())
                let answer = await rig.start("identity", session: "b", capabilities: #"{"roots":{}}"#).reply()
                let pid = try #require(answer.json?["pid"]?.intValue, "\(answer)")
                #expect(pid != Int(probed))
                #expect(await rig.on { $0.lastFailure == nil } == true)
            }
        }
        // One that takes its time is waited for so long and no longer.
        try await Rig.with("ignores_eof.py", limits: { ($0.handOver, $0.rung) = (.milliseconds(50), .seconds(5)) }) { rig in
            let probed = try #require(try await rig.warm())
            let answer = await rig.start("identity", session: "b", capabilities: #"{"roots":{}}"#).reply()
            #expect(answer.json != nil && isAlive(Int(probed)), "\(answer)")
        }
    }

    /// One that was spoken to and then died is no spare any more.
    @Test func oneThatDiesAfterTheProbeIsReplaced() async throws {
        try await Rig.with(limits: Self.later) { rig in
            let probed = try #require(try await rig.warm())
            kill(probed, SIGKILL)
            let next = try #require(await Self.spare(of: rig))
            #expect(next != Int(probed))
            #expect(await rig.call("identity", session: "b").json?["pid"]?.intValue == next)
        }
    }

    /// The probe's answers were none of the session's.
    @Test(arguments: [true, false]) func whoTakesOneThatWasAskedHasLostNothing(isDead: Bool) async throws {
        try await Rig.with { rig in
            _ = try #require(try await rig.warm())
            let list = Pending(loop: rig.loop)
            _ = await rig.on { sessions in _ = sessions.callSpare(MCPRequest(method: "tools/list"), sink: list) }
            _ = await list.reply()
            let pid = try #require(await rig.reports().first?.pid)
            if isDead {
                kill(pid, SIGKILL)
                await eventually("it is gone") { await rig.reports().allSatisfy { $0.pid == nil } }
            } else {
                #expect(await rig.call("crash", session: "b").failure?.kind == .outcomeUnknown)
            }
            let answer = await rig.start("declared", session: "b", capabilities: isDead ? #"{"roots":{}}"# : "{}").reply()
            #expect(answer.json != nil && answer.meta == nil)
            if isDead { #expect(answer.json?["roots"] != nil, "the session's own client is declared") }
        }
    }

    @Test func anIdleMachineLetsItGo() async throws {
        try await Rig.with(limits: { (limits) in
            Self.on(&limits)
            limits.idle = .seconds(2)
        }) { rig in
            let sighting = rig.watch { sessions in
                sessions.reports().first { $0.session.isEmpty && $0.state == "parked" }?.pid.map(Int.init)
            }
            defer { sighting.end() }
            #expect(await rig.call("echo", #"{"text":"a"}"#, session: "a").text == "a")
            await eventually("a spare") { sighting.found != nil }
            let spare = try #require(sighting.found, "\(rig.log)")
            await eventually("nothing is left") { await rig.reports().isEmpty }
            #expect(!isAlive(spare))
            #expect(await rig.call("echo", #"{"text":"b"}"#, session: "b").text == "b")
        }
    }

    @Test func shutdownAndDrainReapIt() async throws {
        var spare = 0
        try await Rig.with(limits: Self.on) { rig in
            _ = await rig.call("echo", session: "a")
            spare = try #require(await Self.spare(of: rig))
        }
        #expect(!isAlive(spare))
        try await Rig.with(limits: Self.on) { rig in
            _ = await rig.call("echo", session: "a")
            spare = try #require(await Self.spare(of: rig))
            let drained = rig.loop.makePromise(of: Void.self)
            _ = await rig.on { $0.drain { drained.succeed() } }
            try await drained.futureResult.get()
            #expect(!isAlive(spare))
            #expect(await rig.reports().isEmpty)
        }
    }
}
