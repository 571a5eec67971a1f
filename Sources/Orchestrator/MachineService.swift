import Door
import Hummingbird
import Logging
import MachineAPI
import NIOCore
import NIOPosix
import Persistence
import Sealing
import Synchronization

/// The parts of one orchestrator, put together: rows, reconciler, runtime, images.
final class MachineService: Sendable {
    let store: MachineStore
    let reconciler: Reconciler
    let images: any ImageBuilding
    let uploads: Uploads
    /// Layers in force on this host.
    let isolation: [String]
    let exec: ExecPolicy

    let lookup: any ImageLookup
    /// nil where there are no images to look at.
    private let shelf: ImageShelf?
    private let oci: OCIConfiguration?
    private let address = Mutex<MachinesBootstrap?>(nil)

    init(
        reconciler: Reconciler, lookup: any ImageLookup, images: any ImageBuilding, uploads: Uploads, oci: OCIConfiguration?, shelf: ImageStore? = nil,
        exec: ExecPolicy = ExecPolicy()
    ) {
        self.exec = exec
        self.shelf = shelf.map { ImageShelf(images: $0, machines: reconciler.host.store) }
        self.reconciler = reconciler
        self.images = images
        self.uploads = uploads
        self.oci = oci
        self.lookup = lookup
        store = reconciler.host.store
        isolation = reconciler.host.isolation
    }

    // MARK: Apps and machines

    /// Creates an app, or answers the same one again.
    func createApp(_ wanted: CreateAppRequest) async throws -> AppRecord {
        // An app without a root from outside has doors that nobody but we can open.
        let root = try AppRoot(secret: Secret(try wanted.root ?? randomBytes(32)))
        let app = AppRecord(
            name: wanted.name, id: MachineID.random(), org: wanted.org, network: wanted.network, isDeleting: false,
            createdAt: WallClock.milliseconds())
        switch try await store.createApp(app, root: root) {
        case .created: return app
        case .exists: return try await store.app(app.name) ?? app
        case .taken:
            throw MachineFailure(.invalid, "name_taken", "an app named \(wanted.name) is there already", field: "name", hint: "choose another name")
        }
    }

    /// Creates a machine, or answers the one that has the name and the configuration.
    func create(_ wanted: CreateMachineRequest, in app: AppRecord) async throws -> MachineRecord {
        if await reconciler.isGoingDown { throw MachineFailure.goingDown }
        guard !app.isDeleting else { throw MachineFailure.unknownApp(app.name) }
        let id = MachineID.random()
        let name = wanted.name ?? "machine-\(id.prefix(6))"
        if let old = try await store.machine(named: name, app: app.name) { return try Self.same(old, as: wanted) }
        try await checkImage(wanted.config)
        try checkSize(wanted.config)
        let now = WallClock.milliseconds()
        let record = MachineRecord(
            id: id, app: app.name, name: name, instance: ULID(milliseconds: now).description, config: wanted.config,
            state: wanted.skipsLaunch ? .stopped : .created, desired: wanted.skipsLaunch ? .stopped : .running, createdAt: now, updatedAt: now)
        let event = MachineEvent(type: "launch", status: "created", source: "user", reason: nil, at: now)
        // Before there is anything to take back.
        let budget = reconciler.host.budget
        if !wanted.skipsLaunch { try reconciler.host.admit(id, record.config) }
        do {
            guard try await store.insert(record, event: event) else {
                budget.release(id)
                guard let old = try await store.machine(named: name, app: app.name) else { throw Self.nameInUse(name) }
                return try Self.same(old, as: wanted)
            }
        } catch {
            budget.release(id)
            throw error
        }
        await reconciler.add(record)
        if !wanted.skipsLaunch { try await reconciler.send(.start(source: "user"), to: id) }
        return try await store.machine(id) ?? record
    }

    /// A repeated wish is answered with what it made the first time.
    private static func same(_ old: MachineRecord, as wanted: CreateMachineRequest) throws(MachineFailure) -> MachineRecord {
        guard old.config == wanted.config else { throw nameInUse(old.name) }
        return old
    }

    private static func nameInUse(_ name: String) -> MachineFailure {
        MachineFailure(
            .conflict, "name_in_use", "aborted: a machine named \(name) with another configuration is in this app", field: "name",
            hint: "choose another name, or destroy that machine")
    }

    // MARK: Host

    func logTail(_ machine: String, lines: Int) async throws -> String {
        let runtime = reconciler.host.runtime
        return try await NIOThreadPool.singleton.runIfActive { runtime.logTail(machine, lines: lines) }
    }

    /// What the host offers machines.
    func doctor() async -> HostReport {
        let capabilities = await HostCapabilities.probe(runtimePath: oci?.runtimePath ?? "", memoryBudget: reconciler.host.budget.setting)
        let layers = capabilities.layers.map { layer in
            HostReport.Layer(
                name: layer.name, state: layer.state.rawValue, detail: layer.detail, remedy: layer.remedy.isEmpty ? nil : layer.remedy,
                required: layer.isRequired, wall: layer.isWall)
        }
        return HostReport(layers: layers)
    }

    /// Where the TCP listener is; set once, when it listens.
    func listens(at bootstrap: MachinesBootstrap) { address.withLock { $0 = bootstrap } }

    func bootstrap() throws -> MachinesBootstrap {
        guard let bootstrap = address.withLock({ $0 }) else {
            throw MachineFailure(.unavailable, "starting", "the orchestrator is starting", hint: "try again")
        }
        return bootstrap
    }

    /// Everything that answers requests.
    func responder() -> RouterResponder<MachinesContext> {
        let router = Router(context: MachinesContext.self)
        router.add(middleware: MachinesErrors())
        MachineRoutes(orchestrator: self).add(to: router)
        BerthRoutes(orchestrator: self).add(to: router)
        EgressRoutes(orchestrator: self).add(to: router)
        ProcessRoutes(orchestrator: self).add(to: router)
        RunningRoutes(orchestrator: self).add(to: router)
        LogRoutes(orchestrator: self).add(to: router)
        UsageRoutes(orchestrator: self).add(to: router)
        RegistryRoutes(store: store).add(to: router)
        if let shelf { ImageRoutes(shelf: shelf).add(to: router) }
        return router.buildResponder()
    }
}
