import Door
import GRDB
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
    /// Lets a machine finish its calls, for a bounded time.
    let drain: @Sendable (MachineAddress, _ app: String) async -> Void
    let org: String
    let appRoot: @Sendable (String) throws -> AppRoot
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
        if let left = try await store.connector(request.name), left.state != .ready { await discard(left) }
        let now = WallClock.milliseconds()
        let record = ConnectorRecord(
            name: request.name, app: "\(request.name)-\(org.suffix(6).lowercased())", state: .building, definition: definition, build: nil,
            generation: 1, tools: nil, createdAt: now, updatedAt: now)
        guard try await store.insert(record) else {
            throw ProvisioningFailure(
                error: "exists", message: "a connector named \(request.name) is there already", field: "name",
                hint: "berth connector update \(request.name), or another name")
        }
        do {
            try await machines.createApp(record.app, org: org, appRoot: appRoot(record.app).secret.copy)
            try await store.update(record, secrets: credentials.changes(request.secrets ?? [:], connector: record.name))
            return try await bringUp(record, with: credentials.credentials(connector: record.name), say: say)
        } catch {
            let failure = await explain(error, record)
            // The caller may be gone (its cancellation is why we are here): the clean-up runs to its end all the same.
            await Task { await discard(record) }.value
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
            throw ProvisioningFailure.unknown("secret", name, among: old.definition.secrets, field: "drop_secrets")
        }
        var record = old
        record.definition = definition
        record.generation += 1
        do {
            // The new secrets are only in memory until the new machine has answered with them: the old one's children never see them.
            let preview = try await credentials.credentials(connector: old.name, changing: request.secrets ?? [:], dropping: dropped)
            let kept = request.keepsImage ? old.build?.started(by: definition.source, insteadOf: old.definition.source) : nil
            let changes = try credentials.changes(request.secrets ?? [:], dropping: dropped, connector: old.name)
            return try await bringUp(record, keeping: kept, with: preview, secrets: changes, say: say)
        } catch {
            let failure = await explain(error, record)
            await Task { await destroyMachines(app: old.app, exceptGeneration: old.generation) }.value
            throw failure
        }
    }

    /// After an update whose row the directory tells: what still runs of an older generation finishes its calls and goes.
    func retireOldMachines(of name: String) async {
        guard let record = try? await store.connector(name) else { return }
        await provider.startsEnded(app: record.app, below: record.generation)
        await destroyMachines(app: record.app, exceptGeneration: record.generation, isDrained: true)
    }

    /// Removes a connector that no virtual MCP holds. What fails half-way stays `removing`, until it is repeated or the
    /// gateway starts.
    func remove(_ name: String) async throws {
        guard let record = try await store.connector(name) else { throw try await unknown(name) }
        let users = try await store.beginRemoval(name)
        guard users.isEmpty else {
            throw ProvisioningFailure(
                error: "in_use", message: "\(name) is in the virtual MCP\(users.count == 1 ? "" : "s") \(users.joined(separator: ", "))",
                field: "name", hint: "berth vmcp update or remove \(users[0]) first")
        }
        try await machines.deleteApp(record.app)
        try await store.delete(name)
    }

    /// At start: what an interrupted `add`, `update` or `remove` left.
    func removeUnfinished() async throws {
        for record in try await store.connectors() {
            if record.state != .ready {
                logger.warning("removing an unfinished connector", metadata: ["connector": "\(record.name)"])
                await discard(record)
            } else {
                await destroyMachines(app: record.app, exceptGeneration: record.generation)
            }
        }
    }

    private func unknown(_ name: String) async throws -> ProvisioningFailure {
        .unknown("connector", name, among: try await store.connectors().map(\.name), field: "name")
    }

    // MARK: Steps

    private func bringUp(
        _ start: ConnectorRecord, keeping kept: BuiltImage? = nil, with set: CredentialSet?, secrets: SecretChanges? = nil,
        say: @Sendable (ProvisioningEvent) -> Void
    ) async throws -> Int {
        var record = start
        if let kept { record.build = kept } else { record.build = try await build(record.definition.source, say: say) }
        // Of an update the row is not touched before the new machine has answered: a refresh meanwhile publishes the row as it is.
        if start.state == .building { try await store.update(record) }
        do {
            return try await startAndProbe(record, with: set, secrets: secrets, say: say)
        } catch let error as MachineAPIError where kept != nil && error.code == "unknown_image" {
            // Collected, or lost with the orchestrator's state.
            return try await bringUp(start, with: set, secrets: secrets, say: say)
        } catch {
            throw await explain(error, record)
        }
    }

    /// Starts a machine of an image that is built, and asks it for its tools.
    private func startAndProbe(
        _ built: ConnectorRecord, with set: CredentialSet?, secrets: SecretChanges?, say: @Sendable (ProvisioningEvent) -> Void
    ) async throws -> Int {
        var record = built
        guard let connector = record.connector else { throw ProvisioningFailure(error: "build_failed", message: "the build gave no image") }
        say(.step("starting a machine"))
        let address = try await provider.ready(connector)
        say(.step("asking for its tools"))
        let tools = try await probe(address, connector, set)
        let count = try ToolMerge.merge([.init(connector: record.name, toolsListResult: tools)]).tools.count
        record.tools = tools
        record.state = .ready
        record.updatedAt = WallClock.milliseconds()
        // The last step that can fail: what threw before it has changed nothing, and nothing may throw after it.
        try await store.update(record, secrets: secrets)
        return count
    }

    private func build(_ source: ImageSource, say: @Sendable (ProvisioningEvent) -> Void) async throws -> BuiltImage {
        for try await event in machines.build(source) {
            switch event {
            case .step(let text): say(.step(text))
            case .done(let image): return image
            case .failed(let failure): throw failure
            }
        }
        throw ProvisioningFailure(error: "build_failed", message: "the orchestrator ended the build without a result", hint: "berth status")
    }

    private func discard(_ record: ConnectorRecord) async {
        do {
            try await machines.deleteApp(record.app)
            try await store.delete(record.name)
        } catch {
            // The row stays as it is, so that the next start of the gateway tries again.
            logger.error("an unfinished connector could not be removed", metadata: ["connector": "\(record.name)", "error": "\(error)"])
        }
    }

    private func destroyMachines(app: String, exceptGeneration generation: Int, isDrained: Bool = false) async {
        let keep = "\(generation)"
        for machine in (try? await machines.machines(app: app)) ?? [] where machine.config.metadata?["berth_generation"] != keep {
            if isDrained, let address = machine.address { await drain(address, app) }
            do {
                try await machines.destroy(app: app, id: machine.id)
            } catch {
                logger.error("an old machine was not destroyed", metadata: ["machine": "\(machine.id)", "error": "\(error)"])
            }
        }
    }

    /// - Parameter record: As far as it came: with the image, once there is one, and the generation of the machine in question.
    private func explain(_ error: any Error, _ record: ConnectorRecord) async -> ProvisioningFailure {
        let diagnosis = StartDiagnosis(packages: record.build?.packages ?? [], isFolder: record.definition.source.upload != nil)
        switch error {
        case let error as DatabaseError where error.resultCode == .SQLITE_FULL:
            return .diskFull
        case var failure as ProvisioningFailure:
            if failure.hint == nil { failure.hint = diagnosis.hint(stderr: failure.stderr ?? "") }
            return failure
        case let failure as ImageBuildFailure:
            return ProvisioningFailure(error: failure.error, message: failure.message, field: "source", hint: failure.hint, stderr: failure.log)
        case is CancellationError:
            return ProvisioningFailure(error: "cancelled", message: "the caller went away", hint: "run the command again")
        default:
            let machine = try? await machines.machines(app: record.app).first { $0.config.metadata?["berth_generation"] == "\(record.generation)" }
            var stderr: String?
            if let machine { stderr = try? await machines.logs(app: record.app, id: machine.id, lines: 200) }
            stderr = stderr.map(StartDiagnosis.lastProcess)
            let reason = machine?.berth?.reason ?? (error as? MachineAPIError)?.message ?? "\(error)"
            return ProvisioningFailure(
                error: "not_ready", message: "the server did not become ready: \(reason)", hint: diagnosis.hint(stderr: stderr ?? ""),
                stderr: stderr)
        }
    }
}

/// Reads what a machine wrote.
public protocol MachineLogs: Sendable {
    func logs(app: String, id: String, lines: Int) async throws -> String
}

extension ConnectorRecord {
    /// As routing needs it; nil before the first build.
    var connector: Connector? {
        guard let build else { return nil }
        return Connector(
            name: name, app: app,
            machineConfig: MachineTemplate(
                image: build.image, command: build.command, environment: build.environment.merging(definition.environment) { _, own in own },
                memoryMB: definition.memoryMB, pids: definition.pids, generation: generation),
            secretNames: definition.secrets, generation: generation)
    }
}
