import Foundation
import GRDB
import Logging
import MachineAPI
import Persistence

@testable import Gateway

/// A control plane on a database of its own, with an orchestrator in memory that answers at once.
final class ProvisioningFixture: Sendable {
    let directory: String
    let database: DatabaseFile
    let machines = FakeMachines()
    let plane: ControlPlane
    /// The last directory that was published.
    let published = Locked(Directory.empty)
    let forgotten = Locked<[String]>([])
    /// Everything that was revoked.
    let ended = Locked<[String]>([])
    /// Called while a machine is drained.
    let onDrain = Locked<(@Sendable () async -> Void)?>(nil)
    /// Connectors whose probe fails.
    let deaf = Locked<Set<String>>([])
    /// What every server lists.
    let tools = Locked(#"{"tools":[{"name":"echo","inputSchema":{}}]}"#)
    /// Of each probe, whether it came with credentials.
    let probed = Locked<[Bool]>([])

    /// How machines are used, by their ids; who is not here does not tell.
    let uses = Locked<[String: MachineUse]>([:])
    /// Machines whose agents do not drain, although they told that they are idle.
    let stubborn = Locked<Set<String>>([])

    init(rest: Duration = .seconds(30), placementMemory: Duration = .seconds(600)) throws {
        directory = NSTemporaryDirectory() + "/berth-provisioning-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        database = try DatabaseFile(directory + "/gateway.db", migrations: GatewaySchema.migrations)
        let (machines, published, forgotten, ended, onDrain, deaf) = (machines, published, forgotten, ended, onDrain, deaf)
        let (uses, stubborn, tools, probed) = (uses, stubborn, tools, probed)
        plane = try ControlPlane(
            database: database, keyRing: KeyRing(path: directory + "/keys"), org: "01JORG00000000000000000000", publicURL: "", listen: "",
            machines: machines,
            probe: { _, connector, credentials in
                probed.withLockedValue { $0.append(credentials != nil) }
                if deaf.withLockedValue({ $0.contains(connector.name) }) { throw ProvisioningFailure(error: "not_ready", message: "deaf") }
                return Array(tools.withLockedValue { $0 }.utf8)
            },
            drain: { address, _ in
                machines.say("drain \(address.machine)")
                await onDrain.withLockedValue { $0 }?()
            },
            asking: MachineAsking(
                use: { address, _ in uses.withLockedValue { $0[address.machine] } },
                drainIfIdle: { address, _, time in
                    machines.say("drain if idle \(address.machine)")
                    if stubborn.withLockedValue({ $0.contains(address.machine) }) { return false }
                    return uses.withLockedValue { $0[address.machine]?.idle.map { $0 >= time } ?? false }
                }),
            publish: { directory in
                published.withLockedValue { $0 = directory }
                machines.say("publish \(directory.connectors.values.map { "\($0.name) g\($0.generation)" }.sorted().joined(separator: ", "))")
            },
            revoked: { revocation in
                switch revocation {
                case .connector(let name): forgotten.withLockedValue { $0.append(name) }
                case .token(let id): ended.withLockedValue { $0.append("token \(id)") }
                case .virtualMCP(let slug): ended.withLockedValue { $0.append("virtual MCP \(slug)") }
                }
            }, tidyingPause: .milliseconds(10), rest: rest, placementMemory: placementMemory, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// Adds a connector of a folder, or changes one.
    func put(_ request: ConnectorRequest, updating: Bool = false) async -> ProvisioningFailure? {
        await plane.provision(request, updating: updating) { _ in }
    }

    func add(_ name: String = "mine", secrets: [String: String] = [:]) async throws {
        let source = ImageSource(upload: "sha256:1", command: ["python3", "server.py"], arguments: ["--quiet"])
        if let failure = await put(ConnectorRequest(name: name, source: source, secrets: secrets)) { throw failure }
    }

    func record(_ name: String = "mine") async throws -> ConnectorRecord? { try await plane.connectors.connector(name) }

    func execute(_ sql: String) async throws { try await database.pool.write { try $0.execute(sql: sql) } }

    func count(_ table: String) async throws -> Int {
        try await database.pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)") ?? -1 }
    }
}

/// The Machines API in memory: a machine is up as soon as it is made.
final class FakeMachines: MachineControl, ImageBuilding, MachineLogs {
    struct State: Sendable {
        var machines: [Machine] = []
        var builds: [ImageSource] = []
        /// Of each build, whether it was to resolve anew.
        var anew: [Bool] = []
        /// Every machine that was ever made.
        var made: [Machine] = []
        /// What every image holds.
        var packages: [String] = []
        /// An equal build before is answered again, as the orchestrator does.
        var remembersBuilds = false
        var results: [(source: ImageSource, image: BuiltImage)] = []
        /// What every build gives.
        var onlyImage: String?
        /// What happened, in order.
        var story: [String] = []
        var lastNumber = 0
        /// Images that are here; nil for all.
        var images: Set<String>?
        var deletesFail = false
        /// Machines that are kept started.
        var kept: Int?
        /// Images that the app's next machine may need.
        var keptImages: [String] = []
        /// Machines that the host has memory for; nil for any number.
        var room: Int?
        var destroysFail = false
        /// Deletions of apps that were asked for.
        var deletes = 0
        /// What every create and start ends with.
        var startError: MachineAPIError?
        /// How often one was asked for.
        var startsAsked = 0
        /// What every build ends with.
        var buildError: (any Error)?
        /// What every machine wrote, and where it was not let.
        var log = ""
        var refusedHosts: [RefusedHost] = []
        /// What the orchestrator asks about before it builds.
        var doubtful: ReleaseReport?
    }

    let state = Locked(State())
    /// Called in the middle of a removal.
    let onDelete = Locked<(@Sendable () async -> Void)?>(nil)

    func say(_ line: String) { state.withLockedValue { $0.story.append(line) } }
    var story: [String] { state.withLockedValue { $0.story } }
    var deletes: Int { state.withLockedValue { $0.deletes } }
    var builds: Int { state.withLockedValue { $0.builds.count } }
    var generations: [String] { state.withLockedValue { $0.machines.map(\.name) } }

    func createApp(_ name: String, org: String, appRoot: [UInt8]) async throws {}

    func deleteApp(_ name: String) async throws {
        await onDelete.withLockedValue { $0 }?()
        state.withLockedValue { $0.deletes += 1 }
        if state.withLockedValue({ $0.deletesFail }) { throw MachineAPIError(status: 500, code: "internal", message: "no") }
        state.withLockedValue { $0.machines = [] }
    }

    func create(app: String, name: String, config: MachineConfig, skipLaunch: Bool) async throws -> Machine {
        try state.withLockedValue { state in
            state.startsAsked += 1
            if let error = state.startError { throw error }
            if let images = state.images, !images.contains(config.image) {
                throw MachineAPIError(status: 400, code: "unknown_image", message: "the image \(config.image) is not here")
            }
            // A repeated wish.
            if let old = state.machines.first(where: { $0.name == name && $0.config == config }) { return old }
            if let limit = state.room, state.machines.count(where: { $0.state == .started }) >= limit {
                throw MachineAPIError(status: 503, code: "insufficient_capacity", message: "no room")
            }
            state.lastNumber += 1
            let machine = Machine(
                id: "m\(state.lastNumber)", name: name, state: .started, instance_id: "i", config: config, created_at: "", updated_at: "",
                berth: BerthMachine(door: "unix:/x\(state.lastNumber)", boot_id: "b\(state.lastNumber)"))
            state.machines.append(machine)
            state.made.append(machine)
            state.story.append("create \(name)")
            return machine
        }
    }

    func machine(app: String, id: String) async throws -> Machine {
        guard let machine = state.withLockedValue({ $0.machines.first { $0.id == id } }) else {
            throw MachineAPIError(status: 404, code: "not_found", message: "no machine \(id)")
        }
        return machine
    }

    func machines(app: String) async throws -> [Machine] { state.withLockedValue { $0.machines } }
    func perform(_ action: MachineAction, app: String, id: String) async throws {
        try state.withLockedValue { state in
            state.startsAsked += 1
            if let error = state.startError { throw error }
            state.story.append("\(action.rawValue) \(id)")
            for index in state.machines.indices where state.machines[index].id == id {
                if action == .start { state.machines[index].state = .started }
                if action == .cordon { state.machines[index].cordoned = true }
                if action == .uncordon { state.machines[index].cordoned = nil }
            }
        }
    }
    func wait(app: String, id: String, for state: MachineState, seconds: Int) async throws -> Machine { try await machine(app: app, id: id) }

    func keep(app: String, running count: Int, images: [String]) async throws {
        state.withLockedValue { state in
            state.kept = count
            state.keptImages = images
        }
    }

    func destroy(app: String, id: String) async throws {
        try state.withLockedValue { state in
            if state.destroysFail { throw MachineAPIError(status: 500, code: "internal", message: "no") }
            state.machines.removeAll { $0.id == id }
            state.story.append("destroy \(id)")
        }
    }

    func logs(app: String, id: String, lines: Int) async throws -> String { state.withLockedValue { $0.log } }

    func refusedHosts(app: String, id: String) async throws -> [RefusedHost] { state.withLockedValue { $0.refusedHosts } }

    func build(_ source: ImageSource, anew: Bool, accepting: [String]) -> AsyncThrowingStream<ImageBuildEvent, any Error> {
        if let error = state.withLockedValue({ $0.buildError }) { return AsyncThrowingStream { $0.finish(throwing: error) } }
        if let release = state.withLockedValue({ $0.doubtful }), !accepting.contains(release.accept) {
            var failure = ImageBuildFailure(error: "unconfirmed", message: "Nobody has said yes to it.", hint: "--accept \(release.accept) takes it.")
            failure.accept = [release.accept]
            return AsyncThrowingStream { [failure] continuation in
                continuation.yield(.release(release))
                continuation.yield(.failed(failure))
                continuation.finish()
            }
        }
        let image = state.withLockedValue { state in
            if state.remembersBuilds, !anew, let known = state.results.last(where: { $0.source == source }) { return known.image }
            state.builds.append(source)
            state.anew.append(anew)
            let digest = state.onlyImage ?? "sha256:image\(state.builds.count)"
            state.images?.insert(digest)
            // As the orchestrator looks words up.
            let command = (source.command ?? ["tool"]).map { $0 == "python3" ? "/usr/bin/python3" : $0 } + (source.arguments ?? [])
            let image = BuiltImage(image: digest, command: command, directory: "/opt/mcp/app", environment: [:], packages: state.packages)
            state.results.append((source, image))
            return image
        }
        return AsyncThrowingStream { continuation in
            continuation.yield(.done(image))
            continuation.finish()
        }
    }
}
