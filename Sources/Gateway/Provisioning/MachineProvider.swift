import Logging
import MachineAPI

/// Gets a machine that serves a connector: the one that runs, one that is stopped, or a new one. Callers for one
/// generation of a connector share one start.
actor MachineProvider {
    private struct Key: Hashable {
        var app: String
        var generation: Int
    }

    private let machines: any MachineControl
    private let connectors: ConnectorStore
    private let logger: Logger
    /// A connector that is being updated starts a machine of its own beside the old one's.
    private var starts: [Key: Task<MachineAddress, any Error>] = [:]
    /// Of apps whose machine the host had no room for a moment ago: whoever comes meanwhile hears the same.
    private var refusals: [String: (error: MachineAPIError, until: ContinuousClock.Instant)] = [:]
    /// Short, since room may be there at any time; long enough for the orchestrator not to be asked by every call.
    private static let refusalTime = Duration.seconds(1)

    init(machines: any MachineControl, connectors: ConnectorStore, logger: Logger) {
        self.machines = machines
        self.connectors = connectors
        self.logger = logger
    }

    func ready(_ connector: Connector) async throws -> MachineAddress {
        let key = Key(app: connector.app, generation: connector.generation)
        if let running = starts[key] { return try await running.value }
        try checkRefusal(connector.app)
        let task = Task { try await self.find(connector) }
        starts[key] = task
        defer { starts[key] = nil }
        return try await noting(connector.app) { try await task.value }
    }

    private func checkRefusal(_ app: String) throws {
        guard let refusal = refusals[app] else { return }
        if refusal.until > .now { throw refusal.error }
        refusals[app] = nil
    }

    private func noting<T: Sendable>(_ app: String, _ body: () async throws -> T) async throws -> T {
        do {
            return try await body()
        } catch let error as MachineAPIError where error.isFull {
            refusals[app] = (error, .now + Self.refusalTime)
            throw error
        }
    }

    /// The machine as it is now, waked if it is suspended, and started anew if it is just being stopped; nil when it is gone or does not run.
    func refresh(machine id: String, app: String) async throws -> MachineAddress? {
        do {
            let machine = try await machines.machine(app: app, id: id)
            guard [.suspended, .suspending, .stopping].contains(machine.state) else { return machine.address }
            try await machines.perform(.start, app: app, id: id)
            logger.info("machine waked", metadata: ["app": "\(app)", "machine": "\(id)"])
            return try await machines.wait(app: app, id: id, for: .started, seconds: 60).address
        } catch let error as MachineAPIError where error.status == 404 {
            return nil
        }
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

    private func find(_ asked: Connector) async throws -> MachineAddress {
        let connector = try await newest(asked)
        let config = connector.machineConfig.config(connector: connector.name, needsCredentials: !connector.secretNames.isEmpty)
        let serving = try await machines.machines(app: connector.app).filter { $0.config.serves(config) }
        let fitting = serving.filter { $0.cordoned != true }
        if let address = fitting.lazy.compactMap(\.address).first { return address }
        guard !fitting.isEmpty || serving.isEmpty else {
            throw PinSearch.NotFound(reason: "the connector's machine takes no new sessions: it is cordoned")
        }

        let id: String
        if let machine = fitting.first(where: { $0.state != .destroying && $0.state != .destroyed }) {
            if [.stopping, .stopped, .failed, .created, .suspended, .suspending].contains(machine.state) {
                try await machines.perform(.start, app: connector.app, id: machine.id)
            }
            id = machine.id
        } else {
            id = try await machines.create(app: connector.app, name: Self.name(connector), config: config, skipLaunch: false).id
        }
        let machine = try await machines.wait(app: connector.app, id: id, for: .started, seconds: 60)
        guard let address = machine.address else {
            throw MachineAPIError(
                status: 503, code: "not_started",
                message: "machine \(id) is \(machine.state.rawValue): \(machine.berth?.reason ?? "no reason given")")
        }
        logger.info("machine ready", metadata: ["connector": "\(connector.name)", "machine": "\(id)", "boot": "\(address.boot)"])
        return address
    }

    /// One machine per generation of the connector; the name makes a repeated create harmless.
    private static func name(_ connector: Connector) -> String { "g\(connector.generation)" }
}

extension Machine {
    /// Where it answers, when it runs.
    var address: MachineAddress? {
        guard state == .started, let door = berth?.door, let boot = berth?.boot_id else { return nil }
        return MachineAddress(machine: id, boot: boot, door: door)
    }
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
    /// - Parameter needsCredentials: the server does not start without them, so that only the agent can say that it is up;
    ///   the probe with credentials is the gateway's.
    func config(connector: String, needsCredentials: Bool) -> MachineConfig {
        var metadata = ["berth_connector": connector, "berth_generation": "\(generation)"]
        if needsCredentials { metadata["berth_ready"] = "agent" }
        metadata["berth_era"] = era
        var config = MachineConfig(
            image: image, exec: command, guest: .init(cpu_kind: "shared", cpus: cpus, memory_mb: memoryMB, pids: pids), env: environment,
            metadata: metadata, restart: .init(policy: .onFailure, max_retries: 10))
        if http != nil || egress != nil || egressPrivate != nil || idle != nil {
            config.berth = .init(egress: egress, egress_private: egressPrivate, http: http, idle: idle)
        }
        return config
    }
}
