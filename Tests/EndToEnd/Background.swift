import CLinux
import Foundation
import Synchronization
import TestSupport

/// A process beside the test, ended with it.
final class Background: Sendable {
    let pid: pid_t
    private let pidfd: Int32
    private let file: String
    /// How it ended, once that was seen.
    private let status = Mutex<Int32?>(nil)

    init(_ arguments: [String], environment: [String: String] = [:], in folder: String) throws {
        file = folder + "/output-\(UUID().uuidString)"
        // One for both, and with it one offset: neither overwrites the other.
        let output = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw Trouble("\(file): \(String(cString: strerror(errno)))") }
        defer { close(output) }
        pid = try Command.start(arguments, environment: environment, stdio: [-1, output, output])
        pidfd = clinux_pidfd_open(pid)
    }

    deinit { close(pidfd) }

    var output: String { (try? String(contentsOfFile: file, encoding: .utf8)) ?? "" }

    var isRunning: Bool { ended() == nil }

    /// The first whole line that `matches`.
    func line(within seconds: Double = 120, where matches: @Sendable (Substring) -> Bool = { _ in true }) async throws -> String {
        var found: Substring?
        _ = await eventually(within: seconds) {
            let text = output
            found = text.split(separator: "\n").first(where: matches)
            return found != nil && text.hasSuffix("\n") || !isRunning
        }
        guard let found else { throw Trouble("no line from pid \(pid): \(output)") }
        return String(found)
    }

    /// Ends it by force, and what it started with it, which takes no longer than the kernel needs.
    func end() {
        guard isRunning else { return }
        ProcessTree.end(pid)
        _ = wait(seconds: 120)
    }

    /// - Returns: its exit code after `signal`, or nil when it does not end.
    func end(_ signal: Int32, within seconds: Double = 120) async -> Int32? {
        if isRunning { kill(pid, signal) }
        return try? await onOwnThread { self.wait(seconds: seconds) }
    }

    private func wait(seconds: Double) -> Int32? {
        var one = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        while poll(&one, 1, Int32(seconds * 1_000)) < 0 && errno == EINTR {}
        return ended()
    }

    /// How it ended, or nil while it runs. Reaped once: afterwards its number may be another's.
    private func ended() -> Int32? {
        status.withLock { known in
            if known != nil { return known }
            var status: Int32 = 0
            if waitpid(pid, &status, WNOHANG) == pid { known = Command.code(status) }
            return known
        }
    }
}
