import Foundation
import TestSupport
import Testing

/// What tests start ends with them, on failing paths too.
struct ProcessEndTests {
    /// Its own session, and deaf: neither a signal to a group nor the end of its input reaches it.
    private static let command = ["/bin/sh", "-c", "setsid sleep 600 & echo $!; sleep 600"]

    private func isGone(_ pid: pid_t) async -> Bool { await eventually { kill(pid, 0) != 0 && errno == ESRCH } }

    @Test func whatAProgramStartedEndsWithIt() async throws {
        try await withFolder { folder in
            let process = try Background(Self.command, in: folder)
            defer { process.end() }
            let started = try #require(pid_t(try await process.line()))
            #expect(kill(started, 0) == 0)
            process.end()
            #expect(await isGone(started))
        }
    }

    @Test func alsoWhereItTookTooLong() async throws {
        let result = try await Command.run(Self.command, seconds: 1)
        #expect(result.status == 128 + SIGKILL)
        let started = try #require(pid_t(result.output.dropLast()), "\(result)")
        #expect(await isGone(started))
    }
}
