import Door
import Logging
import MachineAPI
import Sealing

/// What every machine's owner works with.
struct MachineHost: Sendable {
    let store: MachineStore
    let runtime: any MachineRuntime
    let probe: any DoorAsking
    let images: any ImageLookup
    let hub: MachineHub
    let doors: String
    /// The installation's first range of host user ids.
    let firstSlot: Int
    /// Of the host, for the answers.
    let isolation: [String]
    let logger: Logger
    /// nil where no machine has one.
    var relays: MachineRelays?
    var budget = MemoryBudget()
    /// Whose turn it is to start.
    var starts = StartQueue()
    /// Requests by the addresses of apps and machines.
    var loads = MachineLoads()
    /// How many machines of an app stay started.
    let minimum = RunningMinimum()
    /// What this host gives; empty: everything.
    var layers: [IsolationLayer] = []
    /// Runtimes beside the host's own that were tried here.
    var runtimes = TriedRuntimes(directory: "")

    /// Layers that this host does not give, and that an admin said it may do without.
    var absent: Set<String> {
        Set(layers.filter { $0.state == .missing && HostCapabilities.dispensable.contains($0.name) }.map(\.name))
    }

    /// Whether a machine may start here: its profile's layers, its runtime, its share of the memory, which it then has.
    func admit(_ id: String, _ config: MachineConfig) throws(MachineFailure) {
        try check(config)
        try budget.take(id, bytes: config.memoryMB << 20)
    }

    /// Whether a machine of that configuration may run here at all, however much room there is.
    func check(_ config: MachineConfig) throws(MachineFailure) {
        try config.profile.check(layers)
        if let runtime = config.berth?.runtime { try runtimes.check(runtime) }
    }

    /// Where the machine's agent answers.
    func door(_ boot: String) -> String { "\(doors)/\(boot).sock" }

    func keys(_ record: MachineRecord, _ boot: BootRecord) async throws -> (keys: DoorKeys, org: String) {
        guard let app = try await store.app(record.app) else { throw MachineFailure.unknownApp(record.app) }
        return (try DoorKeys(root: try await store.root(of: app.name), machine: record.id, boot: boot.boot), app.org)
    }

    /// Where the machine takes tokens for its app as a whole.
    private func appKeys(_ record: MachineRecord) async throws -> DoorKeys? {
        guard record.config.berth?.app_tokens ?? false else { return nil }
        return try DoorKeys(root: try await store.root(of: record.app), app: record.app)
    }

    /// Makes one boot and starts it. Its row is written.
    func make(_ record: MachineRecord, _ boot: BootRecord, _ clock: StartClock) async throws {
        guard let image = try await images.layers(of: record.config.image) else {
            throw MachineFailure(
                .internalError, "image_missing", "the image \(record.config.image) is not in the store", field: "config.image",
                hint: "build it again")
        }
        let (keys, org) = try await keys(record, boot)
        let limits = record.config.limits
        let egress = try record.config.egress
        let way = try await openWay(record, boot)
        var environment = image.environment.merging(record.config.env ?? [:]) { _, own in own }
        environment[BootDocument.traceVariable] = record.config.berth?.trace == true ? "1" : nil
        let document = BootDocument(
            org: org, app: record.app, keys: keys, machine: record.id, boot: boot.boot, command: record.config.`init`?.exec ?? image.command,
            directory: image.directory, environment: environment,
            transport: record.config.place == nil ? .stdio : .http, http: record.config.place,
            childLimits: .init(within: limits), era: record.config.era,
            owner: record.config.metadata?["berth_principal"], appKeys: try await appKeys(record),
            egress: egress.all.map(\.description))
        var starting = limits
        // Python's imports at half a processor take three times as long; the real share comes when it is ready.
        starting.cpus = max(1, limits.cpus)
        var spec = MachineSpec(
            machine: record.id, boot: boot.boot, slot: firstSlot + boot.slot, layers: image.layers, arguments: Self.agent, limits: starting,
            binds: way.map { [BindMount(source: $0, destination: "/run/berth")] } ?? [], doorPath: boot.door, bootDocument: try document.encode())
        spec.hasLocalNetwork = !egress.isEmpty
        spec.answersNames = egress.isEmpty && way != nil
        spec.usesNetwork = !egress.isEmpty || record.config.place != nil
        spec.allowsTracing = record.config.berth?.trace == true
        spec.isUntrusted = record.config.profile == .untrusted
        spec.runtimePath = record.config.berth?.runtime
        spec.without = absent
        let created = try await runtime.create(spec)
        clock.mark(.create)
        clock.mark(.root, at: created.rootedAt ?? .now)
        Failpoint.hit("create")
        // Its first line says that it serves.
        runtime.observeLog(record.id, boot: boot.boot) { _ in clock.mark(.agent) }
        try await runtime.start(record.id, boot: boot.boot)
        clock.mark(.start)
        Failpoint.hit("start")
    }

    /// Opens the relay of a machine; also of one that an earlier orchestrator started. One that may reach nothing is told there what it
    /// wanted: its relay connects to nothing.
    ///
    /// - Returns: the folder to bind into it; nil for one that has no sockets of the network's kinds at all.
    @discardableResult
    func openWay(_ record: MachineRecord, _ boot: BootRecord) async throws -> String? {
        let list = try record.config.egress
        if list.isEmpty, record.config.profile == .untrusted, record.config.place == nil { return nil }
        guard let relays else {
            guard !list.isEmpty else { return nil }
            throw MachineFailure(.unavailable, "no_relay", "this orchestrator has no way out for machines")
        }
        return try await relays.open(record.id, app: record.app, slot: firstSlot + boot.slot, list: list)
    }

    /// PID 1 of every machine; a layer of every image holds it.
    static let agent = ["/opt/berth/berth-agent", "agent"]
}
