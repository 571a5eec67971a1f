import Glibc
import Logging
import Persistence
import Testing

@testable import Orchestrator

struct OrchestratorStartTests {
    @Test(
        "a start that fails half-way holds nothing: the next one in the same process succeeds",
        .enabled(if: OCITestHost.isUsable, "needs root and crun"))
    func failedStart() async throws {
        let directory = "/tmp/berth-start-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        defer { try? Files.removeTree(directory) }
        try Files.makeDirectories(directory, mode: 0o755)
        var configuration = OrchestratorConfiguration(
            stateDirectory: directory + "/state", runDirectory: directory + "/run", cgroupPrefix: "/" + directory.dropFirst(5), gatewayUID: getuid(),
            gatewayGID: getgid(), agentPath: "/bin/busybox")
        configuration.ownMountNamespace = true
        configuration.preparesImages = false
        var logger = Logger(label: "start-test")
        logger.logLevel = .critical
        _ = try StateDirectory(configuration.stateDirectory)

        // Late in the start: by then the lock, the database, the threads and the HTTP client are there.
        let obstacle = configuration.stateDirectory + "/uploads"
        try Files.write(obstacle, [])
        await #expect(throws: (any Error).self) { _ = try await RunningOrchestrator.start(configuration, logger: logger) }
        // Free, but for a child of another test between its fork and its exec.
        try await StateLockFile(configuration.lockFile, within: .seconds(60)).release()
        unlink(obstacle)

        let running = try await RunningOrchestrator.start(configuration, logger: logger)
        do {
            try await running.listen()
        } catch {
            await running.shutdown()
            throw error
        }
        await running.shutdown()
        try await StateLockFile(configuration.lockFile, within: .seconds(60)).release()
        #expect(!CgroupTree.detect().exists(configuration.cgroupPrefix))
    }
}
