import Door
import Logging
import MachineAPI

/// Gets a machine that serves a connector: the one that runs, one that is stopped, or a new one; with a machine per principal the caller's
/// own. Callers for one generation of a connector, and one principal, share one start.
actor MachineProvider {
    private struct Key: Hashable {
        var app: String
        var generation: Int
        /// nil where everybody shares one.
        var principal: String?
    }

    private let machines: any MachineControl
    private let connectors: ConnectorStore
    private let asking: MachineAsking
    private let rest: Duration
    private let logger: Logger
    /// A connector that is being updated starts a machine of its own beside the old one's.
    private var starts: [Key: Task<MachineAddress, any Error>] = [:]
    private var placements: RecentPlacements
    /// What decides who has which machine of an app is decided by one at a time.
    private let turns = Turns()
    /// Of whom the host had no room for a machine a moment ago: whoever comes for the same one meanwhile hears the same.
    private var refusals: [Key: (error: MachineAPIError, until: ContinuousClock.Instant)] = [:]
    /// Short, since room may be there at any time; long enough for the orchestrator not to be asked by every call.
    private static let refusalTime = Duration.seconds(1)

    /// - Parameter rest: see ``PrincipalRoom/rest``.
    init(
        machines: any MachineControl, connectors: ConnectorStore, asking: MachineAsking, rest: Duration = PrincipalRoom.rest,
        placementMemory: Duration = .seconds(3), logger: Logger
    ) {
        self.machines = machines
        self.connectors = connectors
        self.asking = asking
        self.rest = rest
        placements = RecentPlacements(memory: placementMemory)
        self.logger = logger
    }

    /// - Parameter asksAnew: an admin waits for it, who may have made room a moment ago; a call hears a refusal of the last second again.
    func ready(_ connector: Connector, for principal: String, asksAnew: Bool = false) async throws -> MachineAddress {
        // Where there may be several, each session has a place of its own to find.
        if connector.isolation == .app, connector.maxMachines > 1 { return try await find(connector, for: principal) }
        let key = Key(app: connector.app, generation: connector.generation, principal: connector.isolation == .principal ? principal : nil)
        if let running = starts[key] { return try await running.value }
        if !asksAnew { try checkRefusal(key) }
        let task = Task { try await self.find(connector, for: principal) }
        starts[key] = task
        defer { starts[key] = nil }
        return try await noting(key) { try await task.value }
    }

    private func checkRefusal(_ key: Key) throws {
        guard let refusal = refusals[key] else { return }
        if refusal.until > .now { throw refusal.error }
        refusals[key] = nil
    }

    private func noting<T: Sendable>(_ key: Key, _ body: () async throws -> T) async throws -> T {
        do {
            return try await body()
        } catch let error as MachineAPIError where error.isFull {
            refusals = refusals.filter { $0.value.until > .now }
            refusals[key] = (error, .now + Self.refusalTime)
            throw error
        }
    }

    /// The machine as it is now, waked if it is suspended, and started anew if it is just being stopped; nil when it is gone, does not run,
    /// is another principal's, or is of a version on which no session stays.
    func refresh(machine id: String, of connector: Connector, for principal: String) async throws -> MachineAddress? {
        do {
            let machine = try await machines.machine(app: connector.app, id: id)
            guard machine.principal == (connector.isolation == .principal ? principal : nil) else { return nil }
            // An update has taken away what it runs on, and it has not gone yet.
            if let generation = machine.ownGeneration, generation < connector.floor { return nil }
            guard [.suspended, .suspending, .stopping].contains(machine.state) else { return machine.address }
            try await machines.perform(.start, app: connector.app, id: id)
            logger.info("machine waked", metadata: ["app": "\(connector.app)", "machine": "\(id)"])
            return try await machines.wait(app: connector.app, id: id, for: .started, seconds: 60).address
        } catch let error as MachineAPIError where error.status == 404 {
            return nil
        }
    }

    /// Wakes a machine that stands still.
    ///
    /// - Returns: whether it stood still.
    func wake(machine id: String, app: String) async throws -> Bool {
        guard try await machines.machine(app: app, id: id).state == .suspended else { return false }
        try await machines.perform(.start, app: app, id: id)
        return true
    }

    /// Every machine of an app that runs now.
    func running(app: String) async throws -> [MachineAddress] { try await machines.machines(app: app).compactMap(\.address) }

    /// Waits for starts that began for an older generation; after the row has moved on no new ones do.
    func startsEnded(app: String, below generation: Int) async {
        for (key, task) in starts where key.app == app && key.generation < generation { _ = await task.result }
    }

    /// Whoever asks for an older generation than the row's, by a directory of a moment ago, gets the row's: no machine of an
    /// older one is ever made.
    private func newest(_ asked: Connector) async throws -> Connector {
        guard let record = try await connectors.connector(asked.name), record.app == asked.app, record.state != .removing else {
            throw PinSearch.NotFound(reason: "the connector was removed")
        }
        guard record.generation > asked.generation, let newer = record.connector else { return asked }
        return newer
    }

    private func find(_ asked: Connector, for principal: String) async throws -> MachineAddress {
        let connector = try await newest(asked)
        let owner = connector.isolation == .principal ? principal : nil
        let config = connector.machineConfig.config(
            connector: connector.name, needsCredentials: !connector.secretNames.isEmpty, principal: owner)
        let id: String
        switch try await turns.take(connector.app, { try await self.choose(connector, config, owner, isProbe: principal == DoorPrincipal.prober) }) {
        case .runs(let address): return address
        case .comes(let machine): id = machine
        }
        let machine = try await machines.wait(app: connector.app, id: id, for: .started, seconds: 60)
        guard let address = machine.address, machine.principal == owner else {
            throw MachineAPIError(
                status: 503, code: "not_started",
                message: "machine \(id) is \(machine.state.rawValue): \(machine.berth?.reason ?? "no reason given")")
        }
        logger.info("machine ready", metadata: ["connector": "\(connector.name)", "machine": "\(id)", "boot": "\(address.boot)"])
        return address
    }

    private enum Choice: Sendable { case runs(MachineAddress), comes(String) }

    private func choose(_ connector: Connector, _ config: MachineConfig, _ owner: String?, isProbe: Bool) async throws -> Choice {
        let all = try await machines.machines(app: connector.app)
        let serving = all.filter { $0.config.serves(config) && $0.principal == owner }
        let fitting = serving.filter { $0.cordoned != true }
        if owner == nil, connector.maxMachines > 1 { return try await place(connector, config, fitting, serving, all, isCounted: !isProbe) }
        if let address = fitting.lazy.compactMap(\.address).first { return .runs(address) }
        guard !fitting.isEmpty || serving.isEmpty else {
            throw PinSearch.NotFound(reason: "the connector's machine takes no new sessions: it is cordoned", code: "cordoned")
        }
        if let machine = fitting.first(where: { $0.state != .destroying && $0.state != .destroyed }) {
            if [.stopping, .stopped, .failed, .created, .suspended, .suspending].contains(machine.state) {
                try await self.within(connector, all, owner) { try await self.machines.perform(.start, app: connector.app, id: machine.id) }
            }
            return .comes(machine.id)
        }
        if let owner, owner != DoorPrincipal.prober { try await makeRoom(for: connector, all) }
        let name = try Self.name(connector, owner)
        let id = try await within(connector, all, owner) {
            try await self.machines.create(app: connector.app, name: name, config: config, skipLaunch: false).id
        }
        return .comes(id)
    }

    /// One machine per generation of the connector, and per principal where each has its own; the name makes a repeated create harmless.
    private static func name(_ connector: Connector, _ owner: String?) throws -> String {
        try owner.map { try PrincipalRoom.name(generation: connector.generation, principal: $0) } ?? "g\(connector.generation)"
    }

    // MARK: Several

    /// - Parameter isCounted: a session comes of it; of a probe none does.
    private func place(
        _ connector: Connector, _ config: MachineConfig, _ fitting: [Machine], _ serving: [Machine], _ all: [Machine], isCounted: Bool
    ) async throws -> Choice {
        let candidates = await candidates(fitting, connector.app)
        // Those that take no new sessions are there all the same.
        let bound = max(connector.maxMachines - (serving.count - fitting.count), 0)
        let id: String
        switch MachinePlacement.choose(among: candidates, max: bound) {
        case .use(let machine):
            guard let address = fitting.first(where: { $0.id == machine })?.address else { throw PinSearch.NotFound.notStarted }
            if isCounted { placements.add(machine, now: .now) }
            return .runs(address)
        case .wait(let machine):
            let state = fitting.first { $0.id == machine }?.state
            if state.map({ [.stopping, .stopped, .failed, .created, .suspended, .suspending].contains($0) }) ?? false {
                do {
                    try await within(connector, all, nil) { try await self.machines.perform(.start, app: connector.app, id: machine) }
                } catch let refusal as MachineAPIError where refusal.isNoRoom {
                    return try other(than: machine, candidates, fitting, refusal)
                }
            }
            id = machine
        case .create:
            let name = MachinePlacement.name(generation: connector.generation, taken: Set(all.filter { $0.state != .destroyed }.map(\.name)))
            do {
                id = try await within(connector, all, nil) {
                    try await self.machines.create(app: connector.app, name: name, config: config, skipLaunch: false).id
                }
            } catch let refusal as MachineAPIError where refusal.isNoRoom {
                return try other(than: "", candidates, fitting, refusal)
            }
        case .none:
            throw PinSearch.NotFound(reason: "the connector's machines take no new sessions: they are cordoned", code: "cordoned", retryAfter: 30)
        }
        if isCounted { placements.add(id, now: .now) }
        return .comes(id)
    }

    /// The host has no room for one more: those that run serve.
    private func other(
        than machine: String, _ candidates: [MachinePlacement.Candidate], _ fitting: [Machine], _ refusal: MachineAPIError
    ) throws -> Choice {
        let ready = candidates.filter { [.ready, .silent].contains($0.state) && $0.machine != machine }.min { $0.sessions < $1.sessions }
        guard let ready, let address = fitting.first(where: { $0.id == ready.machine })?.address else { throw refusal }
        placements.add(ready.machine, now: .now)
        return .runs(address)
    }

    /// Machines as they are now, and how much each has to do.
    func candidates(_ machines: [Machine], _ app: String) async -> [MachinePlacement.Candidate] {
        let told = await withTaskGroup(of: (String, MachineUse?).self) { group in
            for machine in machines {
                guard let address = machine.address else { continue }
                group.addTask { [asking] in (machine.id, await asking.use(address, app)) }
            }
            var told: [String: MachineUse] = [:]
            for await (machine, use) in group { told[machine] = use }
            return told
        }
        let now = ContinuousClock.now
        return machines.compactMap { machine in
            let state: MachinePlacement.Candidate.State
            switch machine.state {
            // One that says nothing may have too much to do to say it.
            case .started: state = told[machine.id] == nil ? .silent : .ready
            case .starting, .replacing: state = .starting
            case .created, .stopped, .stopping, .suspended, .suspending, .failed: state = .stopped
            case .destroying, .destroyed: return nil
            }
            return .init(
                machine: machine.id, state: state, sessions: (told[machine.id]?.sessions ?? 0) + placements.count(machine.id, now: now),
                limit: told[machine.id]?.limit)
        }
    }

    /// One more machine, as long as there are fewer than `count`.
    ///
    /// - Returns: whether one was made.
    func add(to asked: Connector, below count: Int) async throws -> Bool {
        let connector = try await newest(asked)
        let config = connector.machineConfig.config(connector: connector.name, needsCredentials: !connector.secretNames.isEmpty)
        return try await turns.take(connector.app) {
            let all = try await self.machines.machines(app: connector.app)
            guard all.count(where: { $0.config.serves(config) && $0.principal == nil && $0.state != .destroying && $0.state != .destroyed }) < count
            else { return false }
            let name = MachinePlacement.name(generation: connector.generation, taken: Set(all.filter { $0.state != .destroyed }.map(\.name)))
            _ = try await self.machines.create(app: connector.app, name: name, config: config, skipLaunch: false)
            return true
        }
    }

    /// The machines that serve a connector, as it is now.
    func serving(_ connector: Connector) async throws -> [Machine] {
        let config = connector.machineConfig.config(connector: connector.name, needsCredentials: !connector.secretNames.isEmpty)
        return try await machines.machines(app: connector.app).filter {
            $0.config.serves(config) && $0.principal == nil && $0.state != .destroying && $0.state != .destroyed
        }
    }

    /// From here on it gets no new session; who has one there keeps it.
    func cordon(_ machine: String, app: String) async throws {
        try await turns.take(app) { [machines] in try await machines.perform(.cordon, app: app, id: machine) }
    }

    func uncordon(_ machine: String, app: String) async throws {
        try await turns.take(app) { [machines] in try await machines.perform(.uncordon, app: app, id: machine) }
    }

    // MARK: Room

    /// Does what needs room on the host; where there is none, once more after another principal's machine has given way.
    private func within<R: Sendable>(
        _ connector: Connector, _ all: [Machine], _ owner: String?, _ body: @Sendable () async throws -> R
    ) async throws -> R {
        do {
            return try await body()
        } catch let error as MachineAPIError where error.isNoRoom {
            let others = all.filter { $0.principal != nil && $0.principal != owner && $0.isLive }
            guard owner != nil, try await givesWay(try await residents(others, connector.app), connector) else { throw error }
            return try await body()
        }
    }

    private func makeRoom(for connector: Connector, _ all: [Machine]) async throws {
        let there = all.filter {
            $0.principal != nil && $0.principal != DoorPrincipal.prober && $0.state != .destroying && $0.state != .destroyed
                && $0.isOf(generation: connector.generation)
        }
        guard there.count >= connector.maxMachines else { return }
        let residents = try await residents(there, connector.app)
        guard try await givesWay(residents, connector) else {
            throw PinSearch.NotFound(
                reason: "all \(connector.maxMachines) machines that the connector may have (--max) are in use", code: "at_capacity",
                retryAfter: PrincipalRoom.retryAfter(residents, rest: rest))
        }
    }

    private func residents(_ machines: [Machine], _ app: String) async throws -> [PrincipalRoom.Resident] {
        await withTaskGroup(of: PrincipalRoom.Resident.self) { group in
            for machine in machines {
                group.addTask { [asking] in
                    guard let address = machine.address else {
                        // What starts is somebody's who waits for it.
                        return .init(machine: machine.id, stoppedSince: machine.isLive ? nil : machine.berth?.since ?? machine.updated_at)
                    }
                    return .init(machine: machine.id, idle: await asking.use(address, app)?.idle)
                }
            }
            var told: [PrincipalRoom.Resident] = []
            for await resident in group { told.append(resident) }
            return told
        }
    }

    /// The first that can be had goes.
    private func givesWay(_ residents: [PrincipalRoom.Resident], _ connector: Connector) async throws -> Bool {
        for resident in PrincipalRoom.order(residents, rest: rest) {
            guard let machine = try? await machines.machine(app: connector.app, id: resident.machine) else { continue }
            if let address = machine.address {
                // Its agent decides: whoever was to call it later is told that nothing was delivered.
                guard await asking.drainIfIdle(address, connector.app, rest) else { continue }
            } else if machine.isLive {
                continue
            }
            do {
                try await machines.destroy(app: connector.app, id: machine.id)
                logger.notice(
                    "a principal's machine gave way", metadata: ["connector": "\(connector.name)", "machine": "\(machine.id)"])
                return true
            } catch let error as MachineAPIError where error.status == 409 {
                // Somebody works on it.
                continue
            }
        }
        return false
    }

    // MARK: For the keeper

    /// Destroys machines of an app that `isOver` says, while nobody is given one of it.
    func destroy(app: String, where isOver: @escaping @Sendable (Machine) -> Bool) async throws {
        try await turns.take(app) { [machines, logger] in
            var failure: (any Error)?
            for machine in try await machines.machines(app: app) where isOver(machine) {
                do {
                    try await machines.destroy(app: app, id: machine.id)
                    logger.info("a principal's machine is over", metadata: ["app": "\(app)", "machine": "\(machine.id)"])
                } catch {
                    // Somebody works on it, or it is stuck: the others go all the same.
                    failure = error
                }
            }
            if let failure { throw failure }
        }
    }
}

extension MachineAPIError {
    /// The host takes no more: by its memory, or by its bounds.
    fileprivate var isNoRoom: Bool { code == "insufficient_capacity" }
}

extension Machine {
    /// Where it answers, when it runs.
    var address: MachineAddress? {
        guard state == .started, let door = berth?.door, let boot = berth?.boot_id else { return nil }
        return MachineAddress(machine: id, boot: boot, door: door, generation: ownGeneration)
    }

    func isOf(generation: Int) -> Bool { ownGeneration == generation }
}

extension MachineConfig {
    /// Whether a machine of this configuration does what `wanted` asks for.
    fileprivate func serves(_ wanted: MachineConfig) -> Bool {
        image == wanted.image && self.`init`?.exec == wanted.`init`?.exec && (env ?? [:]) == (wanted.env ?? [:]) && guest == wanted.guest
            && metadata?["berth_generation"] == wanted.metadata?["berth_generation"] && metadata?["berth_era"] == wanted.metadata?["berth_era"]
            && berth == wanted.berth
    }
}

extension MachineTemplate {
    /// - Parameters:
    ///   - needsCredentials: the server does not start without them, so that only the agent can say that it is up; the probe with
    ///     credentials is the gateway's.
    ///   - principal: whose alone the machine is.
    func config(connector: String, needsCredentials: Bool, principal: String? = nil) -> MachineConfig {
        var metadata = ["berth_connector": connector, "berth_generation": "\(generation)"]
        if needsCredentials { metadata["berth_ready"] = "agent" }
        metadata["berth_era"] = era
        metadata["berth_principal"] = principal
        var config = MachineConfig(
            image: image, exec: command, guest: .init(cpu_kind: "shared", cpus: cpus, memory_mb: memoryMB, pids: pids), env: environment,
            metadata: metadata, restart: .init(policy: .onFailure, max_retries: 10))
        if http != nil || egress != nil || egressPrivate != nil || idle != nil {
            config.berth = .init(egress: egress, egress_private: egressPrivate, http: http, idle: idle)
        }
        hosting?.add(to: &config)
        if isTraced {
            config.berth = config.berth ?? .init()
            config.berth?.trace = true
        }
        return config
    }
}
