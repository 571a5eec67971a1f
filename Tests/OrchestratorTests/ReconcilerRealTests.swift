import CLinux
import Foundation
import Glibc
import GRDB
import Logging
import MachineAPI
import NIOPosix
import Persistence
import Sealing
import Testing

@testable import Orchestrator

/// A reconciler over crun and real rows; only the agent is a script of busybox, and its door is taken at its word.
final class RealHost: Sendable {
    let directory: String
    let configuration: OCIConfiguration
    let runtime: OCIRuntime
    let store: MachineStore
    let reconciler: Reconciler
    let service: MachineService
    let images: ScriptImage
    let door = FakeDoor()

    /// - Parameter directory: of an earlier host, to come back as its successor.
    init(directory: String? = nil) throws {
        self.directory = directory ?? "/tmp/berth-rec-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        let base = self.directory
        configuration = OCIConfiguration(
            stateDirectory: base + "/state", runDirectory: base + "/run", cgroupPrefix: "/" + (base as NSString).lastPathComponent, doorGroup: 0,
            ownMountNamespace: true)
        try Files.makeDirectories(base, mode: 0o755)
        _ = try StateDirectory(configuration.stateDirectory)
        for name in ["doors", "egress"] { try Files.makeDirectories(configuration.runDirectory + "/" + name, mode: 0o711) }
        images = try ScriptImage(base + "/layer")
        var logger = Logger(label: "reconciler-test")
        logger.logLevel = .critical
        runtime = try OCIRuntime(configuration: configuration, logger: logger)
        store = MachineStore(
            database: try DatabaseFile(configuration.stateDirectory + "/orchestrator.db", migrations: OrchestratorSchema.migrations),
            keys: try KeyRing(path: configuration.stateDirectory + "/keys"))
        reconciler = Reconciler(
            host: MachineHost(
                store: store, runtime: runtime, probe: door, images: images, hub: MachineHub(), doors: configuration.runDirectory + "/doors",
                firstSlot: UserIDs.firstSlot(configuration.cgroupPrefix), isolation: [], logger: logger))
        service = MachineService(
            reconciler: reconciler, lookup: images, images: FakeImages(), uploads: try Uploads(directory: configuration.stateDirectory + "/uploads"),
            oci: configuration)
    }

    /// A machine of the app `a` that ignores nothing and lives until it is told to end.
    func create(_ name: String, more: String = "") async throws -> MachineRecord {
        _ = try await service.createApp(try CreateAppRequest(Array(#"{"name":"a","org_slug":"o","berth":{"app_root":"\#(Self.root)"}}"#.utf8)))
        let app = try #require(await store.app("a"))
        let request = try CreateMachineRequest(
            Array(#"{"name":"\#(name)","config":{"image":"\#(FakeImages.digest)","guest":{"memory_mb":64},"stop_config":{"timeout":"2s"}\#(more)}}"#.utf8))
        return try await service.create(request, in: app)
    }

    private static let root = Base64URL.encode([UInt8](repeating: 7, count: 32))

    func state(_ id: String, _ state: MachineState) async throws -> MachineRecord {
        try await eventually("\(state)") { try await self.store.machine(id).flatMap { $0.state == state ? $0 : nil } }
    }

    func jobs() -> JobRunner {
        JobRunner(
            reconciler: reconciler, egress: configuration.runDirectory + "/egress", group: MultiThreadedEventLoopGroup.singleton,
            logger: reconciler.host.logger
        ) { nil }
    }

    /// What the host holds beyond the boots with rows.
    func leftovers() async throws -> [Leftover] {
        Leftovers.scan(configuration: configuration, owned: Set(try await store.boots().map(\.name))).items
    }

    /// Ends as a process would: its machines go on.
    func leave() async throws {
        await reconciler.shutdown()
        runtime.shutdown()
        try store.database.pool.close()
    }

    func close() async throws {
        // First, for it would bring up again what is removed here.
        await reconciler.shutdown()
        for machine in try await runtime.survey() { try await runtime.remove(machine.machine, boot: machine.boot) }
        #expect(Leftovers.scan(configuration: configuration, owned: []).items == [])
        try await leave()
        try Files.removeTree(directory)
    }
}

/// An image whose "agent" is a shell script: as a machine it waits for SIGTERM, as a job it runs `/in/job`.
struct ScriptImage: ImageLookup {
    let layer: String

    init(_ layer: String) throws {
        self.layer = layer
        guard !Files.isDirectory(layer) else { return }
        for name in ["/bin", "/opt/berth", "/in", "/out"] { try Files.makeDirectories(layer + name, mode: 0o755) }
        try FileManager.default.copyItem(atPath: OCITestHost.busybox, toPath: layer + "/bin/busybox")
        chmod(layer + "/bin/busybox", 0o755)
        let script = """
            #!/bin/busybox sh
            [ -e /in/job ] && exec /bin/busybox sh /in/job
            trap 'echo told to end; exit 0' TERM
            echo up
            while :; do /bin/busybox sleep 0.02; done

            """
        try Files.write(layer + "/opt/berth/berth-agent", Array(script.utf8), mode: 0o755)
        chmod(layer + "/opt/berth/berth-agent", 0o755)
    }

    func layers(of digest: String) async throws -> ImageLayers? {
        ImageLayers(layers: [layer], command: ["/server"], directory: "/", environment: [:])
    }
}

func withRealHost(_ body: (RealHost) async throws -> Void) async throws {
    let host = try RealHost()
    do {
        try await host.reconciler.begin()
        try await body(host)
    } catch {
        try? await host.close()
        throw error
    }
    try await host.close()
}

@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct ReconcilerRealTests {
    @Test("create, restart, kill, stop, destroy: after each the host holds what the rows say")
    func life() async throws {
        try await withRealHost { host in
            let machine = try await host.create("m")
            let first = try #require(await host.state(machine.id, .started).boot)
            #expect(try await host.leftovers() == [])
            _ = try await eventually("output") { host.runtime.log.tail(machine.id, lines: 5).contains("up") ? true : nil }

            try await host.runtime.kill(machine.id, boot: first.boot)
            let second = try await eventually("another boot") {
                try await host.store.machine(machine.id).flatMap { $0.state == .started && $0.boot?.boot != first.boot ? $0.boot : nil }
            }
            #expect(second.boot != first.boot)
            #expect(try await host.store.events(of: machine.id, limit: 20).contains { $0.type == "exit" && $0.reason == "signal 9" })

            try await host.reconciler.send(.stop(source: "user"), to: machine.id)
            let stopped = try await host.state(machine.id, .stopped)
            #expect(stopped.boot == nil)
            #expect(try await host.leftovers() == [])
            #expect(try await host.runtime.survey().isEmpty)
            #expect(host.runtime.log.tail(machine.id, lines: 1).contains("told to end"))

            try await host.reconciler.send(.start(source: "user"), to: machine.id)
            _ = try await host.state(machine.id, .started)
            try await host.reconciler.destroy(machine.id)
            #expect(try await host.runtime.survey().isEmpty)
            #expect(try await host.store.boots().isEmpty)
        }
    }

    @Test("a successor adopts the same boot and can stop it")
    func adoption() async throws {
        let first = try RealHost()
        try await first.reconciler.begin()
        let machine = try await first.create("m")
        let boot = try await first.state(machine.id, .started).boot
        try await first.leave()

        let second = try RealHost(directory: first.directory)
        try await second.reconciler.begin()
        _ = try await eventually("adoption") { try await second.store.events(of: machine.id, limit: 5).contains { $0.type == "adopt" } ? true : nil }
        #expect(try await second.store.machine(machine.id)?.boot == boot)
        try await second.reconciler.send(.stop(source: "user"), to: machine.id)
        _ = try await second.state(machine.id, .stopped)
        #expect(try await second.leftovers() == [])
        try await second.close()
    }

    @Test(
        "an orchestrator killed at any point: its successor brings the machine up, and nothing is without a row",
        arguments: [
            "row", "create.before-bundle", "bundle", "create.after-mount", "create.after-runtime", "create", "start.after", "start", "ready",
            "remove.after-kill", "remove.after-cgroups", "remove",
        ])
    func killed(point: String) async throws {
        let directory = "/tmp/berth-rec-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        let environment = ProcessInfo.processInfo.environment.merging([
            "BERTH_FAILPOINT": point, OrchestratorVictimRole.variable: directory,
        ]) { $1 }
        let victim = try ChildProcess(
            "/proc/self/exe", ["--filter", "OrchestratorVictim", "--testing-library", "swift-testing"],
            environment: environment.map { "\($0.key)=\($0.value)" }, stdio: (-1, -1, -1))
        let status = try await NIOThreadPool.singleton.runIfActive { try victim.wait(timeout: .seconds(120)) }
        #expect(status.signal == SIGKILL)

        let successor = try RealHost(directory: directory)
        try await successor.reconciler.begin()
        let machine = try #require(await successor.store.machines().first)
        let after = try await successor.state(machine.id, .started)
        #expect(after.boot != nil)
        #expect(try await successor.leftovers() == [])
        #expect(try await successor.runtime.survey().map(\.boot) == [after.boot?.boot ?? ""])
        try await successor.reconciler.destroy(machine.id)
        #expect(try await successor.runtime.survey().isEmpty)
        try await successor.close()
    }

    @Test("a job writes to its folder, tells its lines, and leaves nothing")
    func job() async throws {
        try await withRealHost { host in
            let folders = try JobFolders(host.directory, "echo hello; id -u; echo data > /out/file; exit 3")
            let lines = Gathered()
            let result = try await host.jobs().run(folders.job()) { lines.append($0) }
            #expect(result.exitCode == 3 && !result.timedOut && !result.outOfMemory)
            #expect(result.log.contains("hello\n") && lines.values.contains("hello"))
            #expect(Files.read(folders.output + "/file") == "data\n")
            #expect(try await host.store.boots().isEmpty)
            #expect(try await host.runtime.survey().isEmpty)
        }
    }

    @Test("a job that takes too long, writes too much, or is no longer wanted is ended")
    func jobBounds() async throws {
        try await withRealHost { host in
            var late = try JobFolders(host.directory, "echo waiting; while :; do /bin/busybox sleep 1; done").job()
            late.timeoutSeconds = 1
            #expect(try await host.jobs().run(late) { _ in }.timedOut)

            let script = "/bin/busybox dd if=/dev/zero of=/out/big bs=1M count=64; while :; do /bin/busybox sleep 1; done"
            var greedy = try JobFolders(host.directory, script).job()
            greedy.outputBytes = 8 << 20
            let result = try await host.jobs().run(greedy) { _ in }
            #expect(result.exitCode != 0 && result.log.contains("more than 8 MiB"))

            // Each file within the limit, all of them not, and its end before anybody need have looked.
            let quick = "for n in 1 2 3; do /bin/busybox dd if=/dev/zero of=/out/$n bs=1M count=6; done"
            var fast = try JobFolders(host.directory, quick).job()
            fast.outputBytes = 8 << 20
            let written = try await host.jobs().run(fast) { _ in }
            #expect(written.exitCode != 0 && written.log.contains("more than 8 MiB"), "\(written)")

            let unwanted = try JobFolders(host.directory, "while :; do echo tick; /bin/busybox sleep 0.1; done").job()
            let ticks = Gathered()
            let task = Task { try await host.jobs().run(unwanted) { ticks.append($0) } }
            _ = try await eventually("ticks") { ticks.values.isEmpty ? nil : true }
            task.cancel()
            await #expect(throws: (any Error).self) { _ = try await task.value }
            #expect(try await host.store.boots().isEmpty)
            #expect(try await host.runtime.survey().isEmpty)
        }
    }
}

/// The folders of one job.
private struct JobFolders {
    let input: String
    let output: String
    private let layer: String

    init(_ directory: String, _ script: String) throws {
        let base = directory + "/job-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        input = base + "/in"
        output = base + "/out"
        layer = directory + "/layer"
        for path in [base, input, output] { try Files.makeDirectories(path, mode: 0o755) }
        // The script stands for agent and child at once, and the agent's uid may not write the child's folder.
        try Files.write(input + "/job", Array(script.utf8), mode: 0o644)
        chmod(input + "/job", 0o644)
        chmod(output, 0o777)
    }

    func job() -> BuildJob {
        BuildJob(
            name: "test", layers: [layer], command: ["/x"], environment: [:], output: output, inputs: [(input, "/in")], egress: [],
            memoryBytes: 64 << 20)
    }
}

private final class Gathered: Sendable {
    private let lock = NSLock()
    nonisolated(unsafe) private var stored: [String] = []  // guarded by `lock`

    func append(_ line: String) { lock.withLock { stored.append(line) } }
    var values: [String] { lock.withLock { stored } }
}

/// How `killed` tells its child process what to be.
private enum OrchestratorVictimRole {
    static let variable = "BERTH_RECONCILER_VICTIM"
    static let directory = ProcessInfo.processInfo.environment[variable]
}

/// The orchestrator that `killed` kills: this suite in a process of its own.
@Suite(.enabled(if: OrchestratorVictimRole.directory != nil, "started by ReconcilerRealTests"))
struct OrchestratorVictim {
    @Test("one machine, up and restarted")
    func wholeLife() async throws {
        let directory = try #require(OrchestratorVictimRole.directory)
        let host = try RealHost(directory: directory)
        try await host.reconciler.begin()
        let machine = try await host.create("m")
        _ = try await host.state(machine.id, .started)
        try await host.reconciler.send(.restart(source: "user"), to: machine.id)
        _ = try await host.state(machine.id, .started)
    }
}
