import Door
import Glibc
import Logging
import MachineAPI
import NIOCore
import NIOPosix
import Sealing
import Synchronization

/// Runs build jobs as machines of their own: same walls, no door, one writable folder, a relay to the named hosts.
final class JobRunner: BuildMachine {
    private let reconciler: Reconciler
    private let runtime: any MachineRuntime
    private let store: MachineStore
    private let egress: String
    private let firstSlot: Int
    private let group: any EventLoopGroup
    private let logger: Logger
    private let agentLayer: @Sendable () async throws -> String?

    /// The first uid that the agent gives a child.
    private static let childUID = 1_000

    /// - Parameters:
    ///   - egress: a folder for the relays' sockets.
    ///   - agentLayer: the layer that holds the agent, which no image has.
    init(
        reconciler: Reconciler, egress: String, group: any EventLoopGroup, logger: Logger,
        agentLayer: @escaping @Sendable () async throws -> String?
    ) {
        self.agentLayer = agentLayer
        self.reconciler = reconciler
        runtime = reconciler.host.runtime
        store = reconciler.host.store
        firstSlot = reconciler.host.firstSlot
        self.egress = egress
        self.group = group
        self.logger = logger
    }

    func run(_ job: BuildJob, line: @escaping @Sendable (String) -> Void) async throws -> BuildJobResult {
        let machine = MachineID.random()
        let boot = ULID().description
        do {
            try reconciler.host.budget.take(machine, bytes: job.memoryBytes)
        } catch {
            throw ImageBuildFailure(error: error.code, message: "the build has no room: \(error.message)", hint: error.hint)
        }
        defer { reconciler.host.budget.release(machine) }
        let row = try await store.beginBoot(machine: machine, boot: boot, kind: .job, door: nil, at: WallClock.milliseconds())
        Failpoint.hit("row")
        let exits = reconciler.jobs.end(machine: machine, boot: boot)
        var relay: EgressRelay?
        let result: Result<BuildJobResult, any Error>
        do {
            let base = MachineSpec.uidBase(slot: firstSlot + row.slot)
            relay = try await openRelay(job, machine: machine, uid: UInt32(base))
            try give(job.output, uid: UInt32(base + Self.childUID))
            result = .success(try await run(job, row, relay, exits, line))
        } catch {
            result = .failure(error)
        }
        reconciler.jobs.forget(machine: machine, boot: boot)
        await relay?.stop()
        // Its folder is read next: nobody may be left who could change it, whoever cancelled us.
        try await Task { [runtime, store] in
            try await runtime.remove(machine, boot: boot)
            runtime.discardLog(machine)
            try await store.endBoot(boot)
        }.value
        if let relay { rmdir(relay.directory) }
        return try result.get()
    }

    private func run(
        _ job: BuildJob, _ row: BootRecord, _ relay: EgressRelay?, _ exits: AsyncStream<MachineExit>, _ line: @escaping @Sendable (String) -> Void
    ) async throws -> BuildJobResult {
        let (machine, boot) = (row.machine, row.boot)
        let root = try AppRoot(secret: Secret(try randomBytes(32)))
        let document = BootDocument(
            org: "berth", app: job.name, keys: try DoorKeys(root: root, machine: machine, boot: boot), machine: machine, boot: boot,
            command: job.command, environment: job.environment, transport: .job,
            childLimits: .init(maximumChildren: 1, processes: max(16, job.pids - 24), openFiles: 4_096, fileBytes: job.outputBytes),
            startTimeoutSeconds: 30, egress: job.egress + job.publicEgress)
        var binds = [BindMount(source: job.output, destination: "/out", readOnly: false)]
        binds += job.inputs.map { BindMount(source: $0.source, destination: $0.destination) }
        if let relay { binds.append(BindMount(source: relay.directory, destination: "/run/berth")) }
        let layers = job.layers + (try await agentLayer().map { [$0] } ?? [])
        _ = try await runtime.create(
            MachineSpec(
                machine: machine, boot: boot, slot: firstSlot + row.slot, layers: layers, arguments: MachineHost.agent,
                limits: MachineLimits(memoryBytes: job.memoryBytes, cpus: 2, pids: job.pids), binds: binds,
                bootDocument: try document.encode()))
        Failpoint.hit("create")
        let output = JobOutput(line)
        runtime.observeLog(machine, boot: boot) { output.append($0) }
        try await runtime.start(machine, boot: boot)
        Failpoint.hit("start")

        let verdict = try await wait(job, row, exits)
        for refusal in relay?.refusals() ?? [] {
            output.append("egress refused: \(refusal.host):\(refusal.port) (\(refusal.reason.rawValue))")
        }
        if verdict.outputTooLarge { output.append("\(Self.outputTooLarge) \(job.outputBytes >> 20) MiB and was ended") }
        if verdict.diskIsFull { output.append("No space left on device: the job was ended before it took the last of the disk") }
        let code = verdict.exit?.code ?? verdict.exit?.signal.map { 128 + $0 } ?? 137
        return BuildJobResult(
            exitCode: (verdict.outputTooLarge || verdict.diskIsFull) && code == 0 ? 1 : Int(code), log: output.tail,
            outOfMemory: verdict.exit?.oomKilled ?? false, timedOut: verdict.timedOut)
    }

    private struct Verdict: Sendable {
        var exit: MachineExit?
        var timedOut = false
        var outputTooLarge = false
        var diskIsFull = false
    }

    private enum News: Sendable { case exit(MachineExit?), timeout, tooLarge, diskFull }

    /// Begins the line that tells of a job ended for the size of its output.
    static let outputTooLarge = "the job wrote more than"

    /// Until its end, which comes by itself, by the time-out, by its output's size, or with the caller's going.
    private func wait(_ job: BuildJob, _ row: BootRecord, _ exits: AsyncStream<MachineExit>) async throws -> Verdict {
        try await withThrowingTaskGroup(of: News.self) { group in
            group.addTask {
                for await exit in exits { return .exit(exit) }
                return .exit(nil)
            }
            group.addTask {
                try await Task.sleep(for: .seconds(job.timeoutSeconds))
                return .timeout
            }
            group.addTask {
                var size = 0
                while size <= job.outputBytes {
                    try await Task.sleep(for: DiskUse.nextLook(at: size, limit: job.outputBytes))
                    size = try await Self.size(job.output)
                }
                return .tooLarge
            }
            group.addTask {
                while true {
                    try await Task.sleep(for: .milliseconds(250))
                    if try await Self.isFull(job.output) { return .diskFull }
                }
            }
            defer { group.cancelAll() }
            var verdict = Verdict()
            while let news = try await group.next() {
                switch news {
                case .exit(let exit):
                    // The stream ends early when we are cancelled.
                    try Task.checkCancellation()
                    // What is kept is never more than the limit, however fast it was written.
                    if try await Self.size(job.output) > job.outputBytes { verdict.outputTooLarge = true }
                    verdict.exit = exit
                    return verdict
                case .timeout: verdict.timedOut = true
                case .tooLarge: verdict.outputTooLarge = true
                case .diskFull: verdict.diskIsFull = true
                }
                try await runtime.kill(row.machine, boot: row.boot)
            }
            return verdict
        }
    }

    private func openRelay(_ job: BuildJob, machine: String, uid: UInt32) async throws -> EgressRelay? {
        guard !job.egress.isEmpty else { return nil }
        var allowed: [EgressDestination] = []
        // The hosts that an operator configured may be of this network; others are not.
        for (text, reach) in job.egress.map({ ($0, AddressReach.any) }) + job.publicEgress.map({ ($0, .global) }) {
            guard let destination = EgressDestination(text, reach: reach) else {
                throw OCIError(.invalidSpec, "\(text) is not host:port")
            }
            allowed.append(destination)
        }
        return try await EgressRelay.start(
            directory: "\(egress)/\(machine)", peerUIDs: uid...uid, policy: EgressPolicy(allowed: allowed), group: group, logger: logger)
    }

    /// Only the folder itself: what is in it is the caller's.
    private func give(_ path: String, uid: UInt32) throws(OCIError) {
        guard lchown(path, uid, uid) == 0 else { throw .system("chown", path, errno) }
    }

    /// Foreign code may not take what the databases beside it need, nor may it hide from a walk of its folder.
    private static func isFull(_ path: String) async throws -> Bool {
        try await NIOThreadPool.singleton.runIfActive { DiskUse.isNearlyFull(path) }
    }

    private static func size(_ path: String) async throws -> Int {
        try await NIOThreadPool.singleton.runIfActive { DiskUse.bytes(path) }
    }
}

/// The last part of a job's output.
private final class JobOutput: Sendable {
    private static let limit = 16 << 10
    private let text = Mutex("")
    private let line: @Sendable (String) -> Void

    init(_ line: @escaping @Sendable (String) -> Void) { self.line = line }

    func append(_ text: String) {
        self.text.withLock { kept in
            kept += text.suffix(Self.limit) + "\n"
            if kept.utf8.count > 2 * Self.limit { kept = String(kept.suffix(Self.limit)) }
        }
        line(text)
    }

    var tail: String { text.withLock { String($0.suffix(Self.limit)) } }
}
