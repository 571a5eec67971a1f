import Door
import JSONText
import MachineAPI
import Sealing

/// What a test of an image found: it starts, and these are its tools.
public struct ImageTrial: Sendable {
    public var image: BuiltImage
    /// The `tools/list` result, as the server gave it.
    public var tools: [UInt8]
    /// What was refused to it meanwhile; nil where that was not to be told.
    public var refused: [TrialRefusal]?
}

extension ConnectorRecord {
    /// What a test has in the place of a connector. No connector has such a name, so nobody can use or change it; its row is there so
    /// that a gateway that ends in between finds what is to be removed.
    static func trial(_ definition: ConnectorDefinition, org: String) -> ConnectorRecord {
        let now = WallClock.milliseconds()
        let mark = ULID().description.suffix(10).lowercased()
        return ConnectorRecord(
            name: trialPrefix + mark, app: "image-test-\(mark)-\(org.suffix(6).lowercased())", state: .building, definition: definition, build: nil,
            generation: 1, floor: 1, tools: nil, createdAt: now, updatedAt: now)
    }

    var isTrial: Bool { name.hasPrefix(Self.trialPrefix) }

    private static let trialPrefix = "test~"
}

extension Provisioner {
    /// What was refused to a trial's server, where it is traced and has come to have a machine.
    private func refusals(_ record: ConnectorRecord) async -> [TrialRefusal]? {
        guard record.definition.trace == true, let machine = try? await machines.machines(app: record.app).first else { return nil }
        // Agents tell refused hosts in bundles, ten times a second: what came last is waited for, as long as more comes.
        var hosts: [RefusedHost] = []
        for _ in 0..<8 {
            try? await Task.sleep(for: .milliseconds(250))
            guard let now = try? await machines.refusedHosts(app: record.app, id: machine.id), now != hosts else { break }
            hosts = now
        }
        let log = (try? await machines.logs(app: record.app, id: machine.id, lines: 5_000)) ?? ""
        return (hosts.isEmpty ? TrialRefusal.hosts(inLog: log) : hosts.map(TrialRefusal.init)) + TrialRefusal.all(inLog: log)
    }

    /// Builds what the request names, starts a machine of it and asks it for its tools; afterwards nothing is left but the image.
    ///
    /// - Throws: why it cannot be hosted as it is.
    func trial(_ record: ConnectorRecord, secrets: [String: String], accepting: [String], say: @Sendable (ProvisioningEvent) -> Void) async throws -> ImageTrial {
        var record = record
        guard try await store.insert(record) else { throw ProvisioningFailure.internalError }
        let result: Result<ImageTrial, any Error>
        do {
            try await machines.createApp(record.app, org: org, appRoot: appRoot(record.app).secret.copy)
            try await store.update(record, secrets: credentials.changes(secrets, connector: record.name))
            let image = try await build(record.definition.source, accepting: accepting, say: say)
            record.build = image
            try await store.update(record)
            let (_, tools) = try await probed(record, with: credentials.credentials(connector: record.name), say: say)
            _ = try ToolMerge.merge([.init(connector: record.name, toolsListResult: tools)])
            result = .success(ImageTrial(image: image, tools: tools, refused: await refusals(record)))
        } catch {
            var failure = await explain(error, record)
            failure.refused = await refusals(record)
            failure.stderr = failure.stderr.map(TrialRefusal.without)
            result = .failure(failure)
        }
        // The caller may be gone: the clean-up runs to its end all the same.
        await Task { [record] in await leaving(record.name) { try await discard(record) } }.value
        return try result.get()
    }
}
