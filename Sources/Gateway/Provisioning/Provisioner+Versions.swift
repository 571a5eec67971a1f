import JSONText
import MachineAPI

extension Provisioner {
    /// What an admin agreed to: that image, and the tools that it listed.
    struct Agreed: Sendable {
        var image: String
        /// nil: whatever they are.
        var tools: String?
        /// Releases to which somebody has said yes.
        var accept: [String] = []
    }

    // MARK: Rebuild

    /// Resolves a connector's source anew and tells what would change. The new code runs once, in a machine of its own that has neither
    /// the connector's secrets nor a network: nobody has agreed to it yet. Nothing of it stays but the image.
    func preview(_ name: String, accepting: [String], say: @Sendable (ProvisioningEvent) -> Void) async throws -> VersionChanges {
        let old = try await serving(name)
        guard let kind = old.definition.source.kind, [.pypi, .npm, .oci].contains(kind) else {
            throw ProvisioningFailure(
                error: "invalid", message: "\(name) was made of an upload, in which nothing is to be resolved", field: "name",
                hint: "give it again: berth connector update \(name) with --dir, --binary or --oci")
        }
        do {
            let image = try await build(old.definition.source, anew: true, accepting: accepting, say: say)
            var changes = VersionChanges(connector: name, version: old.generation, imageBefore: old.build?.image, image: image.image)
            changes.isSame = image.image == old.build?.image
            if changes.isSame { return changes }
            changes.packages = VersionChanges.packages(old.build?.packages ?? [], image.packages)
            try await compare(old, image, &changes, say)
            return changes
        } catch {
            throw await Self.servesOn(name, explain(error, old))
        }
    }

    private func compare(
        _ old: ConnectorRecord, _ image: BuiltImage, _ changes: inout VersionChanges, _ say: @Sendable (ProvisioningEvent) -> Void
    ) async throws {
        try await destroyMachines(app: old.app, after: old.generation)
        var record = old
        record.build = image
        record.generation += 1
        record.definition.secrets = []
        (record.definition.egress, record.definition.egressPrivate) = (nil, nil)
        // As any one machine; how many there are and whose is the connector's matter.
        record.definition.life = nil
        let lacks = !old.definition.secrets.isEmpty || old.definition.egress != nil || old.definition.egressPrivate != nil
        let result: Result<[UInt8], any Error>
        do {
            result = .success(try await probed(record, with: nil, say: say).tools)
        } catch {
            result = .failure(await explain(error, record))
        }
        await Task { await leaving(old.name) { try await destroyMachines(app: old.app, after: old.generation) } }.value
        do {
            let tools = try Self.tools(try result.get())
            changes.tools = VersionChanges.tools(try old.tools.map(Self.tools) ?? [], tools)
            changes.toolsDigest = try VersionChanges.digest(tools)
        } catch let failure as ProvisioningFailure where lacks && Self.serversOwn.contains(failure.error) {
            changes.stderr = failure.stderr
            changes.reason = "without its secrets and its network it does not list them: \(failure.message)"
        }
    }

    /// What comes of the server, and not of the host on which it was to be tried.
    private static let serversOwn: Set<String> = ["not_ready", "start_failed", "timeout", "refused", "bad_answer", "oom_killed"]

    /// Puts the version that was previewed in the place of the one that serves, once it has answered.
    func rebuild(_ name: String, _ agreed: Agreed, say: @Sendable (ProvisioningEvent) -> Void) async throws -> Int {
        let old = try await serving(name)
        do {
            let image = try await build(old.definition.source, accepting: agreed.accept, say: say)
            guard image.image == agreed.image else {
                throw ProvisioningFailure(
                    error: "changed_meanwhile", message: "what \(name) is built of has changed since it was shown", hint: "run the command again")
            }
            var record = old
            record.build = image
            return try await replace(old, with: record, why: .rebuilt, agreed: agreed, say: say)
        } catch {
            throw await Self.servesOn(name, explain(error, old))
        }
    }

    // MARK: Rollback

    /// Puts the code of an earlier version in the place of the one that serves: its image and how it is started. What a server may and
    /// how it is hosted (secrets, environment, hosts, limits, machines) stays as it is now, so that no right comes back that was taken.
    ///
    /// - Parameter version: nil for the last one before with other code.
    func rollback(_ name: String, to version: Int?, say: @Sendable (ProvisioningEvent) -> Void) async throws -> Int {
        let old = try await serving(name)
        let versions = try await store.versions(of: name).filter { $0.version < old.generation }
        func isOther(_ one: ConnectorVersion) -> Bool {
            one.build != old.build || one.definition.http != old.definition.http || one.definition.era != old.definition.era
        }
        let list = versions.map { "\($0.version)" }.joined(separator: ", ")
        let found = version.map { wanted in versions.first { $0.version == wanted } } ?? versions.first(where: isOther)
        guard let target = found else {
            throw ProvisioningFailure(
                error: "not_found", message: version.map { "\(name) has no earlier version \($0)" } ?? "\(name) has no earlier version with other code",
                field: "to", hint: versions.isEmpty ? "berth connector show \(name)" : "there are \(list)")
        }
        guard isOther(target) else {
            throw ProvisioningFailure(
                error: "invalid", message: "version \(target.version) of \(name) has the code that serves now", field: "to", hint: "there are \(list)")
        }
        var record = old
        record.build = target.build
        record.definition.source = target.definition.source
        (record.definition.http, record.definition.era) = (target.definition.http, target.definition.era)
        do {
            return try await replace(old, with: record, why: .rolledBack(to: target.version), agreed: nil, say: say)
        } catch let error as MachineAPIError where error.code == "unknown_image" {
            throw ProvisioningFailure(
                error: "image_gone", message: "the image of version \(target.version) is not here any more; \(name) serves on as it was", field: "to",
                hint: "build it anew: berth connector update \(name) with its source and version")
        } catch {
            throw await Self.servesOn(name, explain(error, old))
        }
    }

    // MARK: Both

    /// As an update does: the old machine serves until the new one has answered, and afterwards finishes its calls.
    private func replace(
        _ old: ConnectorRecord, with new: ConnectorRecord, why: ConnectorVersion.Reason, agreed: Agreed?, say: @Sendable (ProvisioningEvent) -> Void
    ) async throws -> Int {
        var record = new
        record.generation = old.generation + 1
        // Whoever goes back has a reason for which nobody is to stay.
        record.floor = floor(of: record, after: old, atOnce: why != .rebuilt, say: say)
        try await destroyMachines(app: old.app, after: old.generation)
        do {
            return try await startAndProbe(
                record, with: credentials.credentials(connector: old.name), secrets: nil, why: why, agreed: agreed?.tools, say: say)
        } catch {
            let failure: any Error = (error as? MachineAPIError)?.code == "unknown_image" ? error : await explain(error, record)
            await Task { await leaving(old.name) { try await destroyMachines(app: old.app, after: old.generation) } }.value
            throw failure
        }
    }

    private func serving(_ name: String) async throws -> ConnectorRecord {
        guard let record = try await store.connector(name), record.state == .ready else { throw try await unknown(name) }
        return record
    }

    static func tools(_ result: [UInt8]) throws -> [JSONValue] { try JSONValue(parsing: result)["tools"]?.arrayValue ?? [] }

    private static func servesOn(_ name: String, _ failure: ProvisioningFailure) -> ProvisioningFailure {
        var failure = failure
        if !failure.message.hasSuffix("serves on as it was") { failure.message += "; \(name) serves on as it was" }
        return failure
    }
}
