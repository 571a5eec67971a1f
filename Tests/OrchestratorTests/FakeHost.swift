import Door
import Foundation
import Glibc
import GRDB
import Logging
import MachineAPI
import NIOCore
import NIOPosix
import Persistence
import Sealing
import Synchronization
import Wire

@testable import Orchestrator

/// Machines in memory, for what is above the runtime: rows, routes, timing.
final class FakeRuntime: MachineRuntime {
    struct State {
        /// `<machine>-<boot>` → started.
        var running: [String: Bool] = [:]
        var specs: [MachineSpec] = []
        var removed: [String] = []
        var createError: OCIError?
        var removeFailures = 0
        var ignoresTerm = false
        var cpus: [Double] = []
        /// Whoever sets processor time waits while this is true.
        var holdsUpdates = false
        var updates = 0
        var frozen: Set<String> = []
        /// How often each verb was asked for, in order.
        var story: [String] = []
        /// Of logs.
        var readers: [AsyncStream<LogPiece>.Continuation] = []
        /// Of every machine that runs.
        var statistics = MachineStatistics()
        /// What was run in machines, and what it answers.
        var commands: [ExecCommand] = []
        var commandsRunning = 0
        var execRefusal: ExecRefusal?
        var execResult = ExecResult(exitCode: 0)
        /// Bytes that a frozen machine gives back; nil on a host without swap.
        var swapped: Int?
    }

    let state = Mutex(State())
    let exits: AsyncStream<MachineExit>
    private let ends: AsyncStream<MachineExit>.Continuation

    let memoryKills: AsyncStream<MemoryKill>
    /// Tells that the kernel ended something.
    let killed: AsyncStream<MemoryKill>.Continuation

    init() {
        (exits, ends) = AsyncStream.makeStream(of: MachineExit.self)
        (memoryKills, killed) = AsyncStream.makeStream(of: MemoryKill.self)
    }

    func create(_ spec: MachineSpec) async throws -> CreatedMachine {
        try state.withLock { state in
            if let error = state.createError { throw error }
            state.specs.append(spec)
            state.running["\(spec.machine)-\(spec.boot)"] = false
        }
        return CreatedMachine(machine: spec.machine, boot: spec.boot, pid: 1, isStarted: false)
    }

    func start(_ machine: String, boot: String) async throws { state.withLock { $0.running["\(machine)-\(boot)"] = true } }

    func signal(_ machine: String, boot: String, _ signal: Int32) async throws {
        let isDeaf = state.withLock { state in
            state.story.append("signal \(signal)")
            return state.frozen.contains("\(machine)-\(boot)")
        }
        if isDeaf { return }
        if !state.withLock({ $0.ignoresTerm }) { end(machine, boot, code: 0) }
    }

    func kill(_ machine: String, boot: String) async throws { end(machine, boot, code: nil) }

    func remove(_ machine: String, boot: String) async throws {
        try state.withLock { state in
            if state.removeFailures > 0 {
                state.removeFailures -= 1
                throw OCIError(.notRemoved, "cgroup busy")
            }
            state.running["\(machine)-\(boot)"] = nil
            state.frozen.remove("\(machine)-\(boot)")
            state.removed.append("\(machine)-\(boot)")
        }
    }

    func exec(_ machine: String, boot: String, _ command: ExecCommand, admit: @Sendable () async throws -> Void) async throws -> ExecResult {
        if let refusal = state.withLock({ $0.execRefusal }) { throw refusal }
        try await admit()
        state.withLock { $0.commands.append(command) }
        return state.withLock { $0.execResult }
    }

    func commands(_ machine: String, boot: String) -> Int { state.withLock { $0.commandsRunning } }

    func survey() async throws -> [SurveyedMachine] {
        state.withLock { $0.running.keys.map { $0.split(separator: "-") } }
            .map { SurveyedMachine(machine: String($0[0]), boot: String($0[1]), pids: [1]) }
    }

    func adopt(_ machine: String, boot: String) async -> CreatedMachine? {
        state.withLock { $0.running["\(machine)-\(boot)"] }.map { CreatedMachine(machine: machine, boot: boot, pid: 1, isStarted: $0) }
    }

    func update(_ machine: String, boot: String, cpus: Double) async throws {
        state.withLock { $0.updates += 1 }
        _ = try await eventually("leave to set processor time") { state.withLock { $0.holdsUpdates } ? nil : true }
        state.withLock { $0.cpus.append(cpus) }
    }

    func freeze(_ machine: String, boot: String) async throws -> Int? {
        state.withLock { state in
            state.story.append("freeze")
            state.frozen.insert("\(machine)-\(boot)")
            return state.swapped
        }
    }

    func isFrozen(_ machine: String, boot: String) async throws -> Bool { state.withLock { $0.frozen.contains("\(machine)-\(boot)") } }

    func thaw(_ machine: String, boot: String) async throws {
        state.withLock { state in
            if state.frozen.remove("\(machine)-\(boot)") != nil { state.story.append("thaw") }
        }
    }

    func statistics(_ machine: String, boot: String) async -> MachineStatistics? {
        state.withLock { state in
            guard state.running["\(machine)-\(boot)"] != nil else { return nil }
            state.statistics.cpuMicroseconds += 1_000
            return state.statistics
        }
    }

    func processes(_ machine: String, boot: String) async throws -> [MachineProcess] {
        [(1, 30), (7, 10), (9, 20)].map { pid, rss in
            MachineProcess(pid: pid, command: "p\(pid)", directory: "/", cpu: 1, rss: rss, rtime: 2, stime: 1)
        }
    }

    func logTail(_ machine: String, lines: Int) -> String { "log of \(machine), \(lines)\n" }
    func followLog(_ machine: String, lines: Int) -> AsyncStream<LogPiece>? {
        let (stream, continuation) = AsyncStream.makeStream(of: LogPiece.self)
        continuation.yield(Array("following \(machine), \(lines)\n".utf8))
        state.withLock { $0.readers.append(continuation) }
        return stream
    }

    func logBytes(_ machine: String) -> Int { 77 }
    func discardLog(_ machine: String) {}
    func observeLog(_ machine: String, boot: String, _ observer: (@Sendable (String) -> Void)?) {}

    /// Its first process ends.
    func end(_ machine: String, _ boot: String, code: Int32?) {
        ends.yield(MachineExit(machine: machine, boot: boot, code: code, signal: code == nil ? SIGKILL : nil, oomKilled: false))
    }
}

/// Answers as it is told.
final class FakeDoor: DoorAsking {
    let answer = Mutex(DoorAnswer.yes)
    let asked = Mutex([Bool]())
    /// Children at work; nil when the agent does not tell.
    let busy = Mutex<Int?>(0)
    /// nil when the agent does not tell.
    let processes = Mutex<ServerProcesses?>(ServerProcesses())
    /// How the machines are used; nil when the agent does not tell.
    let used = Mutex<MachineUse?>(MachineUse(idle: .zero))
    /// Of a machine that is told to drain if it is idle; nil: as `used` says.
    let drains = Mutex<DoorAnswer?>(nil)
    /// By the door, in the place of `answer`.
    let decide = Mutex<(@Sendable (String) -> DoorAnswer)?>(nil)

    func ask(_ door: String, keys: DoorKeys, org: String, isDeep: Bool) async -> DoorAnswer {
        asked.withLock { $0.append(isDeep) }
        if let decide = decide.withLock({ $0 }) { return decide(door) }
        return answer.withLock { $0 }
    }

    func busyChildren(_ door: String, keys: DoorKeys, org: String) async -> Int? { busy.withLock { $0 } }

    func processes(_ door: String, keys: DoorKeys, org: String) async -> ServerProcesses? { processes.withLock { $0 } }

    func use(_ door: String, keys: DoorKeys, org: String) async -> MachineUse? { used.withLock { $0 } }

    func drain(_ door: String, keys: DoorKeys, org: String, ifIdleFor time: Duration) async -> DoorAnswer {
        if let answer = drains.withLock({ $0 }) { return answer }
        return used.withLock { $0?.idle.map { $0 >= time } ?? false } ? .yes : .no("in_use")
    }

    func forget(machine: String, boot: String) async {}
}

struct FakeImages: ImageLookup, ImageBuilding {
    static let digest = "sha256:" + String(repeating: "ab", count: 32)

    func layers(of digest: String) async throws -> ImageLayers? {
        digest == Self.digest ? ImageLayers(layers: ["/layer"], command: ["/server"], directory: "/srv", environment: ["A": "1"]) : nil
    }

    func build(_ source: ImageSource, anew: Bool, accepting: [String]) -> AsyncThrowingStream<ImageBuildEvent, any Error> {
        AsyncThrowingStream { continuation in
            continuation.yield(.step("resolving"))
            if source.pypi == "broken" {
                continuation.yield(.failed(ImageBuildFailure(error: "unknown_package", message: "no such package", hint: "look again")))
            } else {
                let image = BuiltImage(image: Self.digest, command: ["/server"], directory: "/srv", environment: [:], packages: ["a==1"])
                continuation.yield(.done(image))
            }
            continuation.finish()
        }
    }
}

/// An orchestrator with real rows and listeners over machines in memory.
final class FakeHost: Sendable {
    let directory: String
    let runtime: FakeRuntime
    let door: FakeDoor
    let store: MachineStore
    let reconciler: Reconciler
    let orchestrator: MachineService
    let budget: MemoryBudget
    let configuration: OrchestratorConfiguration
    private let listeners: MachinesListeners

    /// - Parameter directory: of an earlier host, to come back as its successor.
    init(
        directory: String? = nil, runtime: FakeRuntime = FakeRuntime(), door: FakeDoor = FakeDoor(), quota: HostQuota = HostQuota(),
        budget: MemoryBudget = MemoryBudget(), layers: [IsolationLayer] = [], starts: StartQueue = StartQueue(), exec: ExecPolicy = ExecPolicy()
    ) throws {
        self.budget = budget
        self.directory = directory ?? "/tmp/berth-fake-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        self.runtime = runtime
        self.door = door
        configuration = {
            var configuration = OrchestratorConfiguration(
                stateDirectory: $0 + "/state", runDirectory: $0 + "/run", cgroupPrefix: "/berth-fake", gatewayUID: 12_345, gatewayGID: getgid(),
                agentPath: "/nonexistent")
            configuration.allowedHosts = ["machines.example"]
            return configuration
        }(self.directory)
        try Files.makeDirectories(configuration.runDirectory, mode: 0o755)
        _ = try StateDirectory(configuration.stateDirectory)
        store = MachineStore(
            database: try DatabaseFile(configuration.database, migrations: OrchestratorSchema.migrations),
            keys: try KeyRing(path: configuration.keyFile), quota: quota)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let images = FakeImages()
        reconciler = Reconciler(
            host: MachineHost(
                store: store, runtime: runtime, probe: door, images: images, hub: MachineHub(), doors: self.directory + "/doors", firstSlot: 100,
                isolation: ["user"], logger: logger, budget: budget, starts: starts, layers: layers))
        orchestrator = MachineService(
            reconciler: reconciler, lookup: images, images: images, uploads: try Uploads(directory: configuration.stateDirectory + "/uploads"),
            oci: nil, exec: exec)
        listeners = MachinesListeners(
            orchestrator: orchestrator, configuration: configuration, group: MultiThreadedEventLoopGroup.singleton, logger: logger)
    }

    func open() async throws {
        try await reconciler.begin()
        try await listeners.open()
    }

    /// Over the unix socket: this process, which is root or not.
    var socket: Endpoint { .unix(path: configuration.machinesSocket) }

    func tcp() throws -> (endpoint: Endpoint, token: String) {
        let bootstrap = try orchestrator.bootstrap()
        guard let endpoint = Endpoint(door: bootstrap.machines_url) else { throw TimedOut(what: "an address") }
        return (endpoint, bootstrap.machines_token)
    }

    /// Ends as a killed orchestrator would, but in order: what runs, runs on.
    func leave() async throws {
        await listeners.close()
        await reconciler.shutdown()
        try store.database.pool.close()
    }

    func close() async throws {
        try await leave()
        try Files.removeTree(directory)
    }

    static let config = MachineConfig(image: FakeImages.digest, exec: ["/server", "x"], guest: .init(memory_mb: 64), env: ["B": "2"])
}

/// Runs a test on a host of its own, with a client on its unix socket.
func withFakeHost(
    quota: HostQuota = HostQuota(), budget: MemoryBudget = MemoryBudget(), layers: [IsolationLayer] = [], exec: ExecPolicy = ExecPolicy(),
    _ body: (FakeHost, MachinesClient) async throws -> Void
) async throws {
    let host = try FakeHost(quota: quota, budget: budget, layers: layers, exec: exec)
    try await host.open()
    let (endpoint, token) = try host.tcp()
    let client = MachinesClient(endpoint: endpoint, token: token)
    do {
        try await body(host, client)
    } catch {
        await client.shutdown()
        try? await host.close()
        throw error
    }
    await client.shutdown()
    try await host.close()
}
