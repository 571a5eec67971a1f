import CLinux
import Glibc
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import StdioBridge

struct ChildProcessTests {
    private final class Nobody: ChildProcess.Owner {
        func process(_ process: ChildProcess, wrote frame: LineFramer.Frame) {}
        func process(_ process: ChildProcess, left frame: LineFramer.Frame) {}
        func processOutputEnded(_ process: ChildProcess) {}
        func processErrorsEnded(_ process: ChildProcess) {}
        func processInputBroke(_ process: ChildProcess) {}
        func process(_ process: ChildProcess, logged lines: [String]) {}
    }

    /// Counts frames between two looks of others.
    private final class Counter: ChildProcess.Owner {
        var (total, inTurn, most, isDone, ends) = (0, 0, 0, false, 0)

        func process(_ process: ChildProcess, wrote frame: LineFramer.Frame) {
            total += 1
            inTurn += 1
            most = max(most, inTurn)
        }

        func watch(_ loop: any EventLoop) {
            let bound = NIOLoopBound(self, eventLoop: loop)
            loop.scheduleTask(in: .microseconds(100)) {
                bound.value.inTurn = 0
                if !bound.value.isDone { bound.value.watch(loop) }
            }
        }

        func process(_ process: ChildProcess, left frame: LineFramer.Frame) {}
        func processOutputEnded(_ process: ChildProcess) { ends += 1 }
        func processErrorsEnded(_ process: ChildProcess) {}
        func processInputBroke(_ process: ChildProcess) {}
        func process(_ process: ChildProcess, logged lines: [String]) {}
    }

    private struct Pipe {
        let reader: Int32
        let writer: Int32

        init() throws {
            var ends: [Int32] = [-1, -1]
            try #require(clinux_pipe_cloexec(&ends) == 0)
            (reader, writer) = (ends[0], ends[1])
            clinux_set_nonblocking(reader, 1)
        }

        var hasEnded: Bool {
            var byte: UInt8 = 0
            return read(reader, &byte, 1) == 0
        }
    }

    /// A neighbour's call waits for no more than a turn; at the end of the output too.
    @Test(arguments: [false, true]) func aPipeFullOfTinyLinesTakesManyTurns(hasEnded: Bool) async throws {
        let reaper = try #require(Rig.reaper)
        let loop = Rig.group.next()
        let (input, output, error) = (try Pipe(), try Pipe(), try Pipe())
        defer { for descriptor in [input.reader, error.writer] + (hasEnded ? [] : [output.writer]) { close(descriptor) } }
        let text = Array(String(repeating: "x\n", count: 20_000).utf8)
        try #require(write(output.writer, text, text.count) == text.count)
        if hasEnded { close(output.writer) }
        let spawned = SpawnedProcess(pid: 0, stdin: input.writer, stdout: output.reader, stderr: error.reader)
        let parts = try await loop.submit {
            let owner = Counter()
            let process = ChildProcess(
                spawned, plan: SpawnPlan(path: "", arguments: []), loop: loop, reaper: reaper, limits: BridgeLimits(), owner: owner)
            owner.watch(loop)
            process.open(spawned) {} failed: { _ in }
            return NIOLoopBound((owner, process), eventLoop: loop)
        }.get()
        if hasEnded { await eventually("its end is told, last") { (try? await loop.submit { parts.value.0.ends }.get()) == 1 } }
        await eventually("all of it is told") { (try? await loop.submit { parts.value.0.total }.get()) == text.count / 2 }
        let most = try await loop.submit {
            parts.value.0.isDone = true
            parts.value.1.discard()
            return parts.value.0.most
        }.get()
        #expect(most > 0 && most <= 4 * 512)
    }

    @Test func pipesThatCannotAllBeOpenedAreAllClosed() async throws {
        let reaper = try #require(Rig.reaper)
        let loop = Rig.group.next()
        let (input, error) = (try Pipe(), try Pipe())
        // NIO makes no channel of a file. Whether ours is closed shows by its lock.
        var path = Array("/tmp/berth-bridge-XXXXXX".utf8CString)
        let file = mkstemp(&path)
        try #require(file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0)
        let other = open(path, O_RDONLY | O_CLOEXEC)
        unlink(path)
        defer { for descriptor in [input.reader, error.writer, other] { close(descriptor) } }

        let spawned = SpawnedProcess(pid: 0, stdin: input.writer, stdout: file, stderr: error.reader)
        let failed = loop.makePromise(of: Bool.self)
        loop.execute {
            let owner = Nobody()
            let process = ChildProcess(
                spawned, plan: SpawnPlan(path: "", arguments: []), loop: loop, reaper: reaper, limits: BridgeLimits(), owner: owner)
            process.open(spawned) { failed.succeed(false) } failed: { _ in failed.succeed(true) }
        }
        #expect(try await failed.futureResult.get())
        await eventually("the child's input is closed") { input.hasEnded }
        await eventually("the file is closed") { flock(other, LOCK_EX | LOCK_NB) == 0 }
        await eventually("nobody reads its errors") {
            var one = pollfd(fd: error.writer, events: 0, revents: 0)
            return poll(&one, 1, 0) == 1 && Int32(one.revents) & POLLERR != 0
        }
    }
}
