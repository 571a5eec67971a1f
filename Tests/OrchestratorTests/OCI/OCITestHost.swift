import CLinux
import Foundation
import Glibc
import Logging
import Testing

@testable import Orchestrator

/// A machine layer of a test's own: state, run directory, cgroup parent and mount namespace, all gone afterwards.
///
/// `swift test` has many threads, so the process cannot enter a private mount namespace any more; the runtime's own threads
/// do (`ownMountNamespace`), which is all that mounts and starts of the container runtime need.
final class OCITestHost: Sendable {
    /// Machines need root, a runtime, and something static to run: `apt-get install crun runc busybox-static`.
    static let isUsable = geteuid() == 0 && (try? RuntimeCommand(configuration: base("/nonexistent"))) != nil && access(busybox, X_OK) == 0
    static let hasRunc = isUsable && runc != nil
    static let runc = OCIConfiguration.runtimeCandidates.first { $0.hasSuffix("/runc") && access($0, X_OK) == 0 }
    static let busybox = "/bin/busybox"

    let directory: String
    let configuration: OCIConfiguration
    let runtime: OCIRuntime
    let exits = Collected<MachineExit>()
    private let consumer: Task<Void, Never>

    private static func base(_ directory: String, runtimePath: String = "") -> OCIConfiguration {
        OCIConfiguration(
            stateDirectory: directory + "/state", runDirectory: directory + "/run", cgroupPrefix: "/" + (directory as NSString).lastPathComponent,
            doorGroup: 0, runtimePath: runtimePath, ownMountNamespace: true)
    }

    /// Reaps what killed runtimes left to this process.
    private static let sweeper = try? Reaper()

    /// - Parameter directory: of an earlier host, to come back as its successor.
    init(directory: String? = nil, runtimePath: String = "") throws {
        _ = Self.sweeper
        self.directory = directory ?? "/tmp/berth-oci-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        try Files.makeDirectories(self.directory, mode: 0o755)
        configuration = Self.base(self.directory, runtimePath: runtimePath)
        try Files.makeDirectories(configuration.stateDirectory, mode: 0o700)
        try Files.makeDirectories(configuration.runDirectory + "/doors", mode: 0o711)
        let layer = self.directory + "/state/layer"
        if !Files.isDirectory(layer) {
            try Files.makeDirectories(layer + "/bin", mode: 0o755)
            try FileManager.default.copyItem(atPath: Self.busybox, toPath: layer + "/bin/busybox")
            chmod(layer + "/bin/busybox", 0o755)
        }
        var logger = Logger(label: "oci-test")
        logger.logLevel = .error
        runtime = try OCIRuntime(configuration: configuration, logger: logger)
        consumer = Task { [exits, stream = runtime.exits] in for await exit in stream { exits.append(exit) } }
    }

    /// A machine that runs a shell script of busybox.
    func spec(_ script: String, machine: String = "0123456789abcd", slot: Int = Int.random(in: 0..<60_000)) -> MachineSpec {
        let boot = "01TEST" + String(UInt64.random(in: 0..<1 << 60), radix: 32).uppercased()
        return MachineSpec(
            machine: machine, boot: boot, slot: slot, layers: [directory + "/state/layer"],
            arguments: ["/bin/busybox", "sh", "-c", "PATH=/bin; alias b=/bin/busybox\n" + script],
            limits: MachineLimits(memoryBytes: 64 << 20, cpus: 1), doorPath: configuration.runDirectory + "/doors/\(boot).sock",
            bootDocument: Array("boot-document".utf8))
    }

    /// Runs a machine to its end and answers its output and its end.
    func run(_ spec: MachineSpec) async throws -> (lines: [String], exit: MachineExit) {
        let created = try await runtime.create(spec)
        let lines = Collected<String>()
        runtime.log.observe(created.machine, boot: created.boot) { lines.append($0) }
        try await runtime.start(created.machine, boot: created.boot)
        let exit = try await self.exit(of: created.boot)
        try await runtime.remove(created.machine, boot: created.boot)
        return (lines.values, exit)
    }

    func exit(of boot: String) async throws -> MachineExit {
        try await eventually("exit of \(boot)") { self.exits.values.first { $0.boot == boot } }
    }

    func leftovers() -> [Leftover] { Leftovers.scan(configuration: configuration, owned: []).items }

    /// Leaves without removing anything, as a killed orchestrator does.
    func abandon() {
        runtime.shutdown()
        consumer.cancel()
    }

    /// Removes every machine, and proves that nothing is left.
    func close() async throws {
        for machine in try await runtime.survey() { try await runtime.remove(machine.machine, boot: machine.boot) }
        #expect(leftovers() == [])
        abandon()
        try Files.removeTree(directory)
        #expect(!CgroupTree.detect().exists(configuration.cgroupPrefix))
    }
}

/// Runs a test on a host of its own and takes it down again, whatever happened.
func withOCIHost(runtimePath: String = "", _ body: (OCITestHost) async throws -> Void) async throws {
    let host = try OCITestHost(runtimePath: runtimePath)
    do {
        try await body(host)
    } catch {
        try? await host.close()
        throw error
    }
    try await host.close()
}

/// Values that arrive on another thread.
final class Collected<Value: Sendable>: Sendable {
    private let lock = NSLock()
    nonisolated(unsafe) private var stored: [Value] = []  // guarded by `lock`

    func append(_ value: Value) { lock.withLock { stored.append(value) } }
    var values: [Value] { lock.withLock { stored } }
}

struct TimedOut: Error { let what: String }

/// Waits until `condition` answers something.
func eventually<T>(_ what: String, within: Duration = .seconds(120), _ condition: () async throws -> T?) async throws -> T {
    let deadline = ContinuousClock.now + within
    while ContinuousClock.now < deadline {
        if let value = try await condition() { return value }
        try await Task.sleep(for: .milliseconds(5))
    }
    throw TimedOut(what: what)
}
