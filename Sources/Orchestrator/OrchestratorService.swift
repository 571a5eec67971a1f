import ControlSurface
import Glibc
import GRDB
import Logging
import MachineAPI
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Persistence
import Wire

/// What `berth orchestrator` runs, after ``OCIRuntime/prepareProcess()``.
public enum OrchestratorService {
    /// Opens the state, adopts the machines that live, serves until told to end, and leaves the machines running.
    ///
    /// - Parameters:
    ///   - ready: called once it listens.
    ///   - untilStopped: returns when the process is to end, and why.
    public static func run(
        _ configuration: OrchestratorConfiguration, ready: @Sendable () -> Void, untilStopped: @Sendable () async -> String
    ) async throws {
        var logger = Logger(label: "orchestrator", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = configuration.logLevel
        let running = try await RunningOrchestrator.start(configuration, logger: logger)
        if configuration.stopAll {
            let count = await running.orchestrator.reconciler.stopAll()
            logger.info("machines stopped", metadata: ["count": "\(count)"])
        } else {
            do {
                try await running.listen()
            } catch {
                await running.shutdown()
                throw error
            }
            ready()
            let reason = await untilStopped()
            logger.info("ending; the machines live on", metadata: ["reason": "\(reason)"])
        }
        await running.shutdown()
    }
}

/// An orchestrator with its threads and listeners. Tests run several in one process.
final class RunningOrchestrator: Sendable {
    let orchestrator: MachineService
    let configuration: OrchestratorConfiguration
    private let factory: ImageFactory
    private let logger: Logger
    private let listeners: MachinesListeners
    private let images: ImageStore
    private let uploads: Uploads
    private let opened: OpenedParts
    private let preparation = NIOLockedValueBox<Task<Void, Never>?>(nil)

    private init(
        orchestrator: MachineService, configuration: OrchestratorConfiguration, factory: ImageFactory, group: any EventLoopGroup,
        images: ImageStore, uploads: Uploads, opened: OpenedParts, logger: Logger
    ) {
        self.orchestrator = orchestrator
        self.configuration = configuration
        self.factory = factory
        self.images = images
        self.uploads = uploads
        self.opened = opened
        self.logger = logger
        listeners = MachinesListeners(orchestrator: orchestrator, configuration: configuration, group: group, logger: logger)
    }

    /// Opens everything and brings the host in line with the rows; closes what it opened when that fails.
    static func start(_ configuration: OrchestratorConfiguration, logger: Logger) async throws -> RunningOrchestrator {
        var opened = OpenedParts()
        do {
            return try await start(configuration, logger, &opened)
        } catch {
            await opened.close()
            throw error
        }
    }

    private static func start(
        _ configuration: OrchestratorConfiguration, _ logger: Logger, _ opened: inout OpenedParts
    ) async throws -> RunningOrchestrator {
        _ = try StateDirectory(configuration.stateDirectory)
        let lock = try await StateLockFile(configuration.lockFile, within: .seconds(15))
        opened.add { lock.release() }
        try RunDirectories.prepare(configuration)
        let isNew = access(configuration.database, F_OK) != 0
        let keys = try KeyRing(path: configuration.keyFile, createIfAbsent: isNew)
        let store = MachineStore(database: try DatabaseFile(configuration.database, migrations: OrchestratorSchema.migrations), keys: keys)
        opened.add { try? store.database.pool.close() }

        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        opened.add { try? await group.shutdownGracefully() }
        let http = HTTPClient(eventLoopGroup: group)
        opened.add { await http.shutdown() }
        let runtime = try OCIRuntime(configuration: configuration.oci, logger: logger)
        opened.add {
            runtime.shutdown()
            // Empty when no machine lives on; else it stays, with their roots in it.
            rmdir(configuration.oci.mounts)
        }
        let images = try ImageStore(directory: configuration.stateDirectory + "/images", agent: configuration.agentPath)
        let relays = MachineRelays(directory: configuration.egressDirectory, logger: logger)
        opened.add { await relays.shutdown() }
        let capabilities = await HostCapabilities.probe(runtimePath: configuration.runtimePath, memoryBudget: configuration.memoryBudget)
        let host = MachineHost(
            store: store, runtime: runtime, probe: DoorProbe(http: http), images: images, hub: MachineHub(), doors: configuration.doorsDirectory,
            firstSlot: UserIDs.firstSlot(configuration.cgroupPrefix),
            isolation: capabilities.isolation, logger: logger, relays: relays,
            budget: MemoryBudget(configuration.memoryBudget), layers: capabilities.layers,
            runtimes: TriedRuntimes(directory: configuration.stateDirectory))
        let reconciler = Reconciler(host: host)
        let jobs = JobRunner(reconciler: reconciler, egress: configuration.egressDirectory, group: group, logger: logger) {
            try await images.currentAgentLayer().map { images.layerPath($0) }
        }
        let uploads = try Uploads(
            directory: configuration.stateDirectory + "/uploads", limit: max(256 << 20, configuration.imageLimit + (64 << 20)))
        let factory = ImageFactory(
            settings: ImageSettings(
                state: configuration.stateDirectory, cache: configuration.cacheDirectory, index: configuration.index,
                npmRegistry: configuration.npmRegistry,
                caBundle: configuration.caBundle, limits: TreeLimits(bytes: configuration.imageLimit), room: configuration.buildRoom,
                releaseAge: configuration.releaseAge, knownServers: configuration.knownServers),
            store: images, uploads: uploads, machine: jobs, logger: logger, logins: { try await store.login(of: $0) })
        let orchestrator = MachineService(reconciler: reconciler, lookup: images, images: factory, uploads: uploads, oci: configuration.oci, shelf: images,
            exec: ExecPolicy(
                isAllowed: configuration.allowsExec, audit: configuration.auditSocket.map { GatewayAudit(socket: $0, http: http) }))
        // Before anything boots: a door that is made later must not be taken for a leftover.
        try RunDirectories.removeLeftovers(configuration, boots: try await store.boots())
        try await OrchestratorService.removeUnownedLogs(configuration.oci, store)
        opened.add { await reconciler.shutdown() }
        try await store.finishUnknownExecs()
        try await reconciler.begin(holding: configuration.stopAll)
        return RunningOrchestrator(
            orchestrator: orchestrator, configuration: configuration, factory: factory, group: group, images: images, uploads: uploads,
            opened: opened, logger: logger)
    }

    /// Opens `machines.sock` and the TCP listener.
    func listen() async throws {
        try await listeners.open()
        if configuration.preparesImages { prepareImages() }
    }

    /// Leaves the machines running.
    func shutdown() async {
        preparation.withLockedValue { $0 }?.cancel()
        await listeners.close()
        await factory.end()
        await preparation.withLockedValue { $0 }?.value
        await opened.close()
    }

    // MARK: Parts

    private func prepareImages() {
        let task = Task { [factory, logger, self] in
            do {
                for try await event in factory.prepare() {
                    switch event {
                    case .release, .done: break
                    case .step(let text): logger.info("preparing images", metadata: ["step": "\(text)"])
                    case .failed(let failure): logger.error("images are not prepared", metadata: ["error": "\(failure.message)"])
                    }
                }
            } catch {
                logger.error("images are not prepared", metadata: ["error": "\(error)"])
            }
            while (try? await Task.sleep(for: .seconds(3_600))) != nil { await removeUnused() }
        }
        preparation.withLockedValue { $0 = task }
    }

    /// Images that no machine has, that no app may make its next one of, and that are older than an hour (a build's image
    /// has no machine yet); folders that were handed in and never used; and the history of machines that are long gone.
    private func removeUnused() async {
        do {
            try await orchestrator.reconciler.forget()
            let collected = try await images.collect(keeping: try await orchestrator.store.imagesInUse())
            let forgotten = try await uploads.remove(olderThan: .seconds(86_400))
            if collected.images + forgotten > 0 {
                logger.info(
                    "unused images removed",
                    metadata: ["images": "\(collected.images)", "layers": "\(collected.layers)", "uploads": "\(forgotten)"])
            }
        } catch {
            logger.error("what is not used any more stays", metadata: ["error": "\(error)"])
        }
    }
}
