import Glibc
import Persistence

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

    /// Relays of jobs and of machines that are gone, and their doors. A machine that lives has the relay's folder bound: it stays the same.
    static func removeLeftovers(_ configuration: OrchestratorConfiguration, boots: [BootRecord]) throws {
        let machines = Set(boots.filter { $0.kind == .machine }.map(\.machine))
        let doors = Set(boots.compactMap(\.door))
        for name in Files.names(configuration.egressDirectory) where !machines.contains(name) {
            try Files.removeTree("\(configuration.egressDirectory)/\(name)")
        }
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
