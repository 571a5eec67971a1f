import CLinux
import Foundation
import Glibc
import Persistence

/// Says when the process should end: standard input has ended, or a signal came.
final class Lifeline: Sendable {
    private let reasons: AsyncStream<String>

    /// - Parameter watchesInput: its end is the end of the supervisor.
    init(watchesInput: Bool) throws {
        let signals = [SIGTERM, SIGINT]
        let pipe = clinux_signal_pipe(signals, Int32(signals.count))
        guard pipe >= 0 else { throw OCIError.system("sigaction", "", -pipe) }
        let (stream, continuation) = AsyncStream.makeStream(of: String.self)
        reasons = stream
        let thread = Thread {
            var polls = [pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)]
            if watchesInput { polls.append(pollfd(fd: 0, events: Int16(POLLIN), revents: 0)) }
            while true {
                guard poll(&polls, nfds_t(polls.count), -1) > 0 else { continue }
                if polls[0].revents != 0 {
                    continuation.yield("signal")
                    var bytes = [UInt8](repeating: 0, count: 16)
                    _ = read(pipe, &bytes, bytes.count)
                }
                if polls.count > 1, polls[1].revents != 0 {
                    var bytes = [UInt8](repeating: 0, count: 256)
                    let count = read(0, &bytes, bytes.count)
                    if count == 0 || count < 0 && errno != EINTR && errno != EAGAIN {
                        continuation.yield("standard input ended")
                        polls.removeLast()
                    }
                }
            }
        }
        thread.name = "berth-lifeline"
        thread.start()
    }

    /// Returns when it is time to end, and why.
    func end() async -> String {
        for await reason in reasons { return reason }
        return "cancelled"
    }
}

/// One orchestrator per state.
final class StateLockFile: Sendable {
    private let descriptor: Int32

    /// Waits for an orchestrator that is just ending.
    init(_ path: String, within limit: Duration) async throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw OCIError.system("open", path, errno) }
        let deadline = ContinuousClock.now + limit
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK, ContinuousClock.now < deadline else {
                close(descriptor)
                throw StateError(.failed, "another orchestrator uses \(path)", remedy: "berth down")
            }
            do {
                try await Task.sleep(for: .milliseconds(50))
            } catch {
                close(descriptor)
                throw error
            }
        }
        self.descriptor = descriptor
    }

    func release() { close(descriptor) }
}

/// The folders under `/run`.
enum RunDirectories {
    static func prepare(_ configuration: OrchestratorConfiguration) throws {
        try make(configuration.runDirectory, mode: 0o710, group: configuration.gatewayGID)
        try make(configuration.doorsDirectory, mode: 0o750, group: configuration.gatewayGID)
        // Each relay's folder is bound into a machine, whose agent must be able to pass it.
        try make(configuration.egressDirectory, mode: 0o711, group: 0)
    }

    /// Relays of jobs and doors of machines that are gone.
    static func removeLeftovers(_ configuration: OrchestratorConfiguration, doors: Set<String>) throws {
        for name in Files.names(configuration.egressDirectory) { try Files.removeTree("\(configuration.egressDirectory)/\(name)") }
        for name in Files.names(configuration.doorsDirectory) {
            let path = "\(configuration.doorsDirectory)/\(name)"
            if !doors.contains(path) { unlink(path) }
        }
    }

    private static func make(_ path: String, mode: mode_t, group: UInt32) throws {
        try Files.makeDirectories(path, mode: mode)
        guard chown(path, 0, group) == 0, chmod(path, mode) == 0 else { throw OCIError.system("chown", path, errno) }
    }
}

/// The socket that root and the gateway speak to.
enum MachinesSocket {
    static func open(_ path: String, group: UInt32) throws -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < room else {
            throw OCIError(.invalidSpec, "\(path) is longer than a socket's path may be", hint: "choose a shorter run directory")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        unlink(path)
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw OCIError.system("socket", path, errno) }
        func check(_ result: Int32, _ call: String) throws {
            guard result != 0 else { return }
            let number = errno
            close(descriptor)
            throw OCIError.system(call, path, number)
        }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        try check(bound, "bind")
        // Nobody can connect before `listen`.
        try check(chown(path, 0, group), "chown")
        try check(chmod(path, 0o660), "chmod")
        try check(listen(descriptor, 512), "listen")
        return descriptor
    }
}

enum Standard {
    /// At once, whatever the other end is.
    static func printLine(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    }
}
