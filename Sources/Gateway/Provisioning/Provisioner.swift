import Door
import Logging
import MachineAPI
import Sealing

/// Adds, changes and removes hosted connectors: build the image, create the app, start a machine, probe it, and only then
/// let the directory know. What fails half-way leaves nothing (add) or the old one (update).
struct Provisioner: Sendable {
    let store: ConnectorStore
    let credentials: CredentialStore
    let machines: any MachineControl & ImageBuilding & MachineLogs
    let provider: MachineProvider
    let probe: @Sendable (MachineAddress, Connector, CredentialSet?) async throws -> [UInt8]
    let oldMachines: OldMachines
    let org: String
    let appRoot: @Sendable (String) throws -> AppRoot
    /// Hears of a connector of which something half-made stays: ``tidy(_:)`` is wanted.
    let leaves: @Sendable (String) -> Void
    let logger: Logger

    /// Adds a connector; `say` hears of each step.
    /// - Returns: how many tools it has.
    func add(_ request: ConnectorRequest, say: @Sendable (ProvisioningEvent) -> Void) async throws -> Int {
        let definition = try ConnectorRules.check(request)
        if let name = request.drop_secrets?.first {
            throw ProvisioningFailure(error: "invalid", message: "a new connector has no secret \(name)", field: "drop_secrets", hint: "leave it out")
        }
        // Nobody else changes this name now: a row still `building` (or `removing`) is what an add (a remove) left that could
        // not clean up after itself.
        if let left = try await store.connector(request.name), left.state != .ready {
            do {
                try await discard(left)
            } catch {
                leaves(left.name)
                throw ProvisioningFailure(explaining: error) ?? .notReady(left, field: "name")
            }
        }
        let now = WallClock.milliseconds()
        let record = ConnectorRecord(
            name: request.name, app: "\(request.name)-\(org.suffix(6).lowercased())", state: .building, definition: definition, build: nil,
            generation: 1, floor: 1, tools: nil, createdAt: now, updatedAt: now)
        guard try await store.insert(record) else {
            throw ProvisioningFailure(
                error: "exists", message: "a connector named \(request.name) is there already", field: "name",
                hint: "berth connector update \(request.name), or another name")
        }
        do {
            try await machines.createApp(record.app, org: org, appRoot: appRoot(record.app).secret.copy)
            try await store.update(record, secrets: credentials.changes(request.secrets ?? [:], connector: record.name))
            return try await bringUp(record, accepting: request.accept ?? [], with: credentials.credentials(connector: record.name), say: say)
        } catch {
            let failure = await explain(error, record)
            // The caller may be gone (its cancellation is why we are here): the clean-up runs to its end all the same.
            await Task { await leaving(record.name) { try await discard(record) } }.value
            throw failure
        }
    }

    /// Takes over what the request names, builds where that changes the image, and writes the row when the new machine has
    /// answered. The old one serves until ``retireOldMachines(of:)``.
    func update(_ request: ConnectorRequest, say: @Sendable (ProvisioningEvent) -> Void) async throws -> Int {
        guard let old = try await store.connector(request.name), old.state == .ready else { throw try await unknown(request.name) }
        let definition = try ConnectorRules.check(request, changing: old.definition)
        let dropped = request.drop_secrets ?? []
        for name in dropped where !old.definition.secrets.contains(name) {
            throw ProvisioningFailure.unknown("secret", name, among: old.definition.secrets, field: "drop_secrets", of: request.name)
        }
        var record = old
        record.definition = definition
        if request.changesNothingElse, definition.differsOnlyInNumber(from: old.definition), let tools = old.tools {
            // The machines that run are as good as new ones; the keeper sees to their number.
            record.updatedAt = WallClock.milliseconds()
            if definition.lifeInForce.drain != old.definition.lifeInForce.drain {
                record.drainSessions(for: definition.lifeInForce.drain, now: record.updatedAt, isReplaced: false)
            }
            try await store.update(record)
            return try ToolMerge.merge([.init(connector: record.name, toolsListResult: tools)]).tools.count
        }
        record.generation += 1
        if let lost = definition.hostsLost(since: old.definition) { say(.step("no longer reachable: \(lost)")) }
        record.floor = floor(of: record, after: old, atOnce: request.changesSecrets, say: say)
        // What an earlier update left that failed would have the new machine's name.
        try await destroyMachines(app: old.app, after: old.generation)
        do {
            // The new secrets are only in memory until the new machine has answered with them: the old one's children never see them.
            let preview = try await credentials.credentials(connector: old.name, changing: request.secrets ?? [:], dropping: dropped)
            let kept = request.keepsImage ? old.build?.started(by: definition.source, insteadOf: old.definition.source) : nil
            let changes = try credentials.changes(request.secrets ?? [:], dropping: dropped, connector: old.name)
            return try await bringUp(record, keeping: kept, accepting: request.accept ?? [], with: preview, secrets: changes, say: say)
        } catch {
            var failure = await explain(error, record)
            failure.message += "; \(old.name) serves on as it was"
            await Task { await leaving(old.name) { try await destroyMachines(app: old.app, after: old.generation) } }.value
            throw failure
        }
    }

    /// Of which generation on machines keep the sessions that they have, once `record` takes the place of `old`; each for its own time
    /// (``ConnectorRecord/drainSessions(for:now:isReplaced:)``).
    func floor(of record: ConnectorRecord, after old: ConnectorRecord, atOnce: Bool, say: @Sendable (ProvisioningEvent) -> Void) -> Int {
        guard let seconds = record.definition.lifeInForce.drain else { return record.generation }
        guard !atOnce, !record.definition.takesAway(from: old.definition) else {
            say(.step("open sessions move at once: what they run on is to serve nobody any more"))
            return record.generation
        }
        say(.step("open sessions stay on the version before for up to \(seconds) s"))
        return min(old.floor, old.generation)
    }

    /// After an update whose row the directory tells: what still runs of an older generation finishes its calls and goes, at once or when
    /// its sessions are over.
    func retireOldMachines(of name: String) async {
        await leaving(name) {
            guard let record = try await store.connector(name), let connector = record.connector else { return }
            await provider.startsEnded(app: record.app, below: record.generation)
            try await oldMachines.retire(connector)
        }
    }

    /// Removes a connector that no virtual MCP holds. What fails half-way stays `removing`, until ``tidy(_:)`` has finished it.
    func remove(_ name: String) async throws {
        guard let record = try await store.connector(name) else { throw try await unknown(name) }
        let users = try await store.beginRemoval(name)
        guard users.isEmpty else {
            throw ProvisioningFailure(
                error: "in_use", message: "\(name) is in the virtual MCP\(users.count == 1 ? "" : "s") \(users.joined(separator: ", "))",
                field: "name", hint: "berth vmcp update or remove \(users[0]) first")
        }
        do {
            try await discard(record)
        } catch {
            leaves(name)
            throw ProvisioningFailure(explaining: error) ?? error
        }
    }

    /// What ``tidy(_:)`` did.
    enum Tidied { case nothing, removed }

    /// Removes what an `add`, `update` or `remove` left that ended half-way. Nobody else may change the connector meanwhile.
    func tidy(_ name: String) async throws -> Tidied {
        guard let record = try await store.connector(name) else { return .nothing }
        if record.state == .ready {
            try await destroyMachines(app: record.app, after: record.generation)
            if let connector = record.connector { try await oldMachines.retire(connector) }
            return .nothing
        }
        logger.warning("removing an unfinished connector", metadata: ["connector": "\(record.name)"])
        try await discard(record)
        return .removed
    }

    /// Does a clean-up, or says that it is still wanted.
    func leaving(_ name: String, _ cleanUp: () async throws -> Void) async {
        do {
            try await cleanUp()
        } catch {
            logger.error("a clean-up failed and is tried again", metadata: ["connector": "\(name)", "error": "\(error)"])
            leaves(name)
        }
    }

    /// Why there is no connector to be changed: there is none, or it is in another state.
    func unknown(_ name: String) async throws -> ProvisioningFailure {
        let records = try await store.connectors()
        if let record = records.first(where: { $0.name == name }) { return .notReady(record, field: "name") }
        return .unknown("connector", name, among: records.map(\.name), field: "name")
    }

    // MARK: Steps

    private func bringUp(
        _ start: ConnectorRecord, keeping kept: BuiltImage? = nil, accepting: [String], with set: CredentialSet?, secrets: SecretChanges? = nil,
        say: @Sendable (ProvisioningEvent) -> Void
    ) async throws -> Int {
        var record = start
        if let kept { record.build = kept } else { record.build = try await build(record.definition.source, accepting: accepting, say: say) }
        // Of an update the row is not touched before the new machine has answered: a refresh meanwhile publishes the row as it is.
        if start.state == .building { try await store.update(record) }
        do {
            return try await startAndProbe(
                record, with: set, secrets: secrets, why: start.state == .building ? .added : .updated, say: say)
        } catch let error as MachineAPIError where kept != nil && error.code == "unknown_image" {
            // Collected, or lost with the orchestrator's state.
            return try await bringUp(start, accepting: accepting, with: set, secrets: secrets, say: say)
        } catch {
            throw await explain(error, record)
        }
    }

    /// Starts a machine of an image that is built, and asks it for its tools.
    ///
    /// - Parameter agreed: the digest of the tools that an admin agreed to; nil for any.
    func startAndProbe(
        _ built: ConnectorRecord, with set: CredentialSet?, secrets: SecretChanges?, why: ConnectorVersion.Reason, agreed: String? = nil,
        say: @Sendable (ProvisioningEvent) -> Void
    ) async throws -> Int {
        var record = built
        let found: (address: MachineAddress, tools: [UInt8])
        do {
            found = try await probed(record, with: set, say: say)
        } catch let error as MachineAPIError where error.isFull {
            // Sessions that stay on versions before the one that serves must not keep the next one out.
            guard try await oldMachines.makeRoom(app: record.app, below: record.generation - 1) else { throw error }
            say(.step("no room for the next version: sessions that stayed on those before the last moved"))
            found = try await probed(record, with: set, say: say)
        }
        let (address, tools) = found
        // A machine for the probe alone is nobody's: it goes with the probe. What fails half-way takes it with the rest.
        let isProbes = record.connector?.isolation == .principal
        let count = try ToolMerge.merge([.init(connector: record.name, toolsListResult: tools)]).tools.count
        if let agreed, try VersionChanges.digest(Self.tools(tools)) != agreed {
            throw ProvisioningFailure(
                error: "other_tools", message: "the tools that it lists now are others than those that were shown",
                hint: "run the command again; with --yes they are taken as they are")
        }
        record.tools = tools
        record.state = .ready
        record.updatedAt = WallClock.milliseconds()
        if record.floor < record.generation {
            record.drainSessions(for: record.definition.lifeInForce.drain, now: record.updatedAt, isReplaced: true)
        } else {
            record.drains = [:]
        }
        // The last step that can fail: what threw before it has changed nothing, and nothing may throw after it.
        try await store.update(record, secrets: secrets, why: why)
        if isProbes { await leaving(record.name) { try await machines.destroy(app: record.app, id: address.machine) } }
        return count
    }

    /// A machine of it that runs, and its `tools/list` result.
    func probed(
        _ record: ConnectorRecord, with set: CredentialSet?, say: @Sendable (ProvisioningEvent) -> Void
    ) async throws -> (MachineAddress, tools: [UInt8]) {
        guard let connector = record.connector else { throw ProvisioningFailure(error: "build_failed", message: "the build gave no image") }
        say(.step("starting a machine"))
        let address = try await provider.ready(connector, for: DoorPrincipal.prober, asksAnew: true)
        say(.step("asking for its tools"))
        return (address, try await probe(address, connector, set))
    }

    func build(
        _ source: ImageSource, anew: Bool = false, accepting: [String], say: @Sendable (ProvisioningEvent) -> Void
    ) async throws -> BuiltImage {
        for try await event in machines.build(source, anew: anew, accepting: accepting) {
            switch event {
            case .step(let text): say(.step(text))
            case .release(let report): say(.release(report))
            case .done(let image): return image
            case .failed(let failure): throw failure
            }
        }
        throw ProvisioningFailure.orchestratorGone
    }

    /// What fails leaves the row as it is.
    func discard(_ record: ConnectorRecord) async throws {
        try await machines.deleteApp(record.app)
        try await store.delete(record.name)
    }

    /// - Throws: what kept one of them, after the others have gone.
    func destroyMachines(app: String, after generation: Int) async throws {
        var failure: (any Error)?
        for machine in try await machines.machines(app: app) where machine.generation > generation {
            do {
                try await machines.destroy(app: app, id: machine.id)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// - Parameter record: As far as it came: with the image, once there is one, and the generation of the machine in question.
    func explain(_ error: any Error, _ record: ConnectorRecord) async -> ProvisioningFailure {
        let diagnosis = StartDiagnosis(
            packages: record.build?.packages ?? [], isFolder: record.definition.source.upload != nil, http: record.definition.http)
        if var failure = error as? ProvisioningFailure {
            if failure.hint == nil { failure.hint = diagnosis.hint(stderr: failure.stderr ?? "", reason: failure.message) }
            if StartDiagnosis.isShort(failure.message) { failure.error = "oom_killed" }
            // What the probe saw of the server itself: one with secrets starts with its first session.
            if failure.reason == nil, ["start_failed", "timeout", "oom_killed"].contains(failure.error) {
                let told = StartReason.of(failure.message, stderr: failure.stderr ?? "", timedOut: failure.error == "timeout")
                (failure.reason, failure.exit_code) = (told?.reason.rawValue, told?.code)
            }
            return failure
        }
        let known = ProvisioningFailure(explaining: error)
        guard let refusal = error as? MachineAPIError, refusal.status != 0,
            let machine = try? await machines.machines(app: record.app).first(where: { $0.isOf(generation: record.generation) })
        else {
            if known == nil { logger.error("provisioning failed", metadata: ["connector": "\(record.name)", "error": "\(error)"]) }
            return known ?? .internalError
        }
        // There is a machine, and it does not come up: the server's matter, most of the time.
        let log = try? await machines.logs(app: record.app, id: machine.id, lines: 200)
        let stderr = log.map(StartDiagnosis.lastProcess)
        let why = refusal.code == "timeout" ? "it did not answer MCP's handshake in time" : refusal.message
        // While it is tried once more, the machine itself has no reason.
        var reason = machine.berth?.reason
        if reason == nil { reason = try? await machines.machine(app: record.app, id: machine.id).lastFailure }
        var failure = ProvisioningFailure(
            error: StartDiagnosis.isShort(reason ?? why) ? "oom_killed" : "not_ready", message: "the server did not become ready: \(reason ?? why)",
            hint: diagnosis.hint(stderr: stderr ?? "", log: log ?? "", reason: reason ?? why), stderr: stderr)
        let told = StartReason.of(reason ?? why, stderr: stderr ?? "", timedOut: refusal.code == "timeout")
        (failure.reason, failure.exit_code) = (told?.reason.rawValue, told?.code)
        return failure
    }
}

extension Machine {
    /// Of its last start that failed.
    fileprivate var lastFailure: String? { events?.first { $0.status == MachineState.failed.rawValue && $0.reason != nil }?.reason }
}

/// Reads what a machine wrote, and where it was not let.
public protocol MachineLogs: Sendable {
    func logs(app: String, id: String, lines: Int) async throws -> String
    /// Hosts that were refused to it.
    func refusedHosts(app: String, id: String) async throws -> [RefusedHost]
}

extension ConnectorRecord {
    /// As routing needs it; nil before the first build.
    var connector: Connector? {
        guard let build else { return nil }
        var template = MachineTemplate(
            image: build.image, command: build.command, environment: build.environment.merging(definition.environment) { _, own in own },
            memoryMB: definition.memoryMB, pids: definition.pids, era: definition.era, generation: generation)
        template.hosting = definition.hosting
        template.http = definition.http
        template.egress = definition.egress
        template.egressPrivate = definition.egressPrivate
        template.idle = definition.lifeInForce.idleInForce
        template.isTraced = definition.trace == true
        var connector = Connector(
            name: name, app: app, machineConfig: template, secretNames: definition.secrets, generation: generation)
        connector.isolation = definition.lifeInForce.isolation ?? .app
        connector.minMachines = definition.lifeInForce.min ?? 0
        connector.maxMachines = definition.lifeInForce.maxInForce
        connector.floor = floor
        connector.drains = drains
        connector.images = [build.image]
        return connector
    }
}
