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
