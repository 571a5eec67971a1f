import Glibc
import JSONText
import MCP
import NIOCore
import TestSupport
import Testing

@testable import StdioBridge

/// Servers that live and die as they should not: see Tests/Fixtures/hostile.py.
struct HostileLivesTests {
    /// The launcher is killed: the server and what that started go with it.
    @Test(.tags(.failure01)) func whatALauncherStartedDiesWithIt() async throws {
        try await Rig.hostile("Launcher") { rig in
            let server = try #require(await rig.call("identity").json)
            let (pid, launcher) = (try #require(server["pid"]?.intValue), try #require(server["ppid"]?.intValue))
            #expect(await rig.reports().first?.pid == Int32(launcher))
            let helper = try #require(await rig.call("helper").json?.intValue)
            let running = rig.start("hang", progress: true)
            await eventually("a call runs") { !running.notifications.isEmpty }
            kill(pid_t(launcher), SIGKILL)
            #expect(await running.reply() == .failed(.outcomeUnknown, "the server was killed by signal 9"))
            for left in [pid, helper] { await eventually("\(left) is gone") { !isAlive(left) } }
            #expect(await rig.call("identity").json?["pid"]?.intValue != pid)
        }
    }

    @Test(.tags(.failure01, .failure05)) func aSessionsEndIsItsLaunchersWholeTree() async throws {
        try await Rig.hostile("Launcher", limits: { $0.rung = .milliseconds(500) }) { rig in
            let server = try #require(await rig.call("identity").json)
            let helper = try #require(await rig.call("helper").json?.intValue)
            #expect(await rig.end("s"))
            for left in [server["pid"]?.intValue, server["ppid"]?.intValue, helper] {
                let left = try #require(left)
                await eventually("\(left) is gone") { !isAlive(left) }
            }
        }
    }

    /// Its callers hear of it at once, the operator with its last words, and it is not started again and again.
    @Test(.tags(.failure06, .failure08)) func aDeathInTheHandshake() async throws {
        try await Rig.hostile("DiesInHandshake") { rig in
            #expect(await rig.call("echo") == .failed(.notDelivered, "the server exited with status 9"))
            let failure = await rig.on { $0.lastFailure } ?? nil
            #expect(failure?.exit == 9 && failure?.stderr.contains("no licence") == true)
            var last = Reply.result(.null)
            for _ in 0..<8 where last.failure?.reason.contains("next start in") != true { last = await rig.call("echo") }
            #expect(last.failure?.reason.hasPrefix("the server exited with status 9; next start in") == true, "\(last)")
            let report = await rig.reports().first
            #expect(report?.pid == nil && report?.state == "crashed")
        }
    }

    /// A server that dies over a cancellation takes its calls with it, and no more.
    @Test(.tags(.failure06, .failure19)) func aDeathOverACancellation() async throws {
        try await Rig.hostile("DiesOnCancel") { rig in
            for session in ["s", "other"] { _ = await rig.call("echo", session: session) }
            let (cancelled, other) = (rig.start("hang", progress: true), rig.start("hang", progress: true))
            await eventually("both run") { !cancelled.notifications.isEmpty && !other.notifications.isEmpty }
            cancelled.cancel()
            #expect(await cancelled.reply() == .failed(.outcomeUnknown, "cancelled"))
            #expect(await other.reply() == .failed(.outcomeUnknown, "the server exited with status 5"))
            let again = await rig.call("echo", #"{"text":"again"}"#)
            #expect(again.text == "again" && again.meta?["berth/restarted"] == true)
            #expect(await rig.call("echo", session: "other").meta == nil)
        }
    }
}
