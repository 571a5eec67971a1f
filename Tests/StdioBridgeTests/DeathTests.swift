import Glibc
import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@testable import StdioBridge

/// What follows from a process that dies at an awkward moment.
struct DeathTests {
    /// A pipe with a name: whoever opens it to read waits for `release`.
    private final class Latch {
        let path: String

        init() throws {
            var template = Array("/tmp/berth-latch-XXXXXX".utf8CString)
            try #require(mkdtemp(&template) != nil)
            path = template.withUnsafeBufferPointer { String(decoding: $0.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) } + "/latch"
            try #require(mkfifo(path, 0o600) == 0)
        }

        func release() {
            // Read and write, so that opening it waits for nobody.
            let descriptor = open(path, O_RDWR | O_CLOEXEC)
            _ = write(descriptor, "x\n", 2)
            opened = descriptor
        }

        private var opened: Int32 = -1

        deinit {
            if opened >= 0 { close(opened) }
            unlink(path)
            rmdir(String(path.dropLast("/latch".count)))
        }
    }

    /// The cause is told each time, to who comes while its process is being ended too.
    @Test func aRevisionThatNobodyKnowsIsTheCauseEachTime() async throws {
        try await Rig.with("old_version.py") { rig in
            for _ in 1...4 {
                let failure = try #require(await rig.call("echo").failure)
                #expect(failure.kind == .notDelivered && failure.reason.contains("unknown protocol version 1999-01-01"), "\(failure.reason)")
            }
        }
    }

    @Test func aDrainingChildThatDiesIsThereUntilItIsCleanedUp() async throws {
        let latch = try Latch()
        let afterwards = SpawnPlan.Afterwards(path: "/bin/sh", arguments: ["sh", "-c", "read word < '\(latch.path)'"])
        try await Rig.with(afterwards: afterwards) { rig in
            let pid = try #require(await rig.call("identity").json?["pid"]?.intValue)
            let running = rig.start("hang", progress: true)
            await eventually("the call runs") { !running.notifications.isEmpty }
            let drained = rig.loop.makePromise(of: Void.self)
            _ = await rig.on { $0.drain { drained.succeed() } }
            kill(pid_t(pid), SIGKILL)
            #expect(await running.reply().failure?.reason == "the server was killed by signal 9")
            await eventually("its death is told") { rig.log.contains("server process \(pid) was killed by signal 9") }
            #expect(await rig.reports().count == 1, "its clean-up is not over")
            #expect(await rig.on { $0.lastFailure?.signal } == 9)
            latch.release()
            try await drained.futureResult.get()
            #expect(await rig.reports().isEmpty)
        }
    }

    /// Its caller gave it up while what it had not read held up the whole child.
    @Test(.tags(.failure13)) func readingGoesOnWhenPausedCallsAreGivenUp() async throws {
        try await Rig.with(limits: { $0.queuedOutputBytes = 50_000 }) { rig in
            let slow = rig.start("many", #"{"count":200}"#, progress: true, demand: .pause)
            let paused = rig.watch(Rig.pausedReading("s"))
            defer { paused.end() }
            await eventually("it is paused") { !slow.notifications.isEmpty }
            await eventually("reading is paused") { paused.found == true }
            slow.cancel()
            _ = await slow.reply()
            #expect(await rig.call("echo", #"{"text":"alive"}"#).text == "alive")
        }
    }

    @Test(.tags(.failure13)) func aDeadlineLetsReadingGoOn() async throws {
        try await Rig.with(limits: { $0.queuedOutputBytes = 50_000 }) { rig in
            _ = await rig.call("echo")
            let paused = rig.watch(Rig.pausedReading("s"))
            defer { paused.end() }
            let slow = rig.start("many", #"{"count":200}"#, progress: true, demand: .pause, deadline: .seconds(12))
            #expect(await slow.reply().failure?.reason == "the server did not answer in time")
            #expect(paused.found == true, "the deadline came upon a paused child")
            #expect(await rig.call("echo", #"{"text":"alive"}"#).text == "alive")
        }
    }

    /// The child had the call long before its answer came: it must not be called safe to repeat.
    @Test func anAnswerThatWasNotReadLeavesItsCallUnknown() async throws {
        try await Rig.with { rig in
            let pid = try #require(await rig.call("identity").json?["pid"]?.intValue)
            _ = await rig.end("s")
            #expect(!isAlive(pid))
            let able = #"{"elicitation":{}}"#
            let other = try #require(await rig.start("identity", capabilities: able).reply().json?["pid"]?.intValue)
            guard case .result(let required) = await rig.start("ask", capabilities: able).reply() else {
                Issue.record("no question")
                return
            }
            let state = try #require(required["requestState"]).text
            let key = try #require(required["inputRequests"]?.objectValue?.members.first?.0)
            kill(pid_t(other), SIGSTOP)
            let text = String(repeating: "x", count: 300_000)
            let answer = rig.start(
                "ask", capabilities: able,
                more: #","requestState":\#(state),"inputResponses":{"\#(key)":{"action":"accept","content":{"a":"\#(text)"}}}"#)
            await eventually("it is on its way") { await rig.reports().first?.callsInFlight == 1 }
            kill(pid_t(other), SIGKILL)
            // Which is seen first, its exit or its closed input, is chance.
            #expect(await answer.reply().failure?.kind == .outcomeUnknown)
        }
    }

    @Test func aQuestionThatNobodyAnsweredKeepsNothing() async throws {
        try await Rig.with(limits: { ($0.input, $0.drain) = (.seconds(1), .seconds(60)) }) { rig in
            guard case .result(let required) = await rig.start("ask", capabilities: #"{"elicitation":{}}"#).reply() else {
                Issue.record("no question")
                return
            }
            #expect(required["resultType"] == "input_required")
            let drained = rig.loop.makePromise(of: Void.self)
            _ = await rig.on { $0.drain { drained.succeed() } }
            let begun = NIODeadline.now()
            try await drained.futureResult.get()
            #expect(NIODeadline.now() - begun < .seconds(20), "nothing but the question kept it")
        }
    }

    /// What its author is told it printed is of the process that failed, and the last of it.
    @Test func whatItPrintedIsItsOwn() async throws {
        try await withFolder { folder in
            try await Rig.with("prints.py", arguments: [folder + "/mark"], showsErrors: true) { rig in
                // The first one ended over the probe, which is told to nobody.
                let told = await rig.call("echo").failure?.reason
                #expect(told?.contains("it printed 'later 0' on standard output") == true, "\(told as Any)")
            }
        }
    }
}
