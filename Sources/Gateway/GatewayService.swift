import Door
public import Logging
import MachineAPI
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Persistence
import Sealing
public import Wire

/// What `berth gateway` is started with: paths and addresses, no secret.
public struct GatewayConfiguration: Sendable {
    /// The gateway's own part of the state, as this process sees it.
    public var state: String
    public var listenHost: String
    public var listenPort: Int
    /// Without a trailing slash.
    public var publicURL: String
    /// Host names allowed beside the loopback's.
    public var allowedHosts: [String]
    /// Networks whose `X-Forwarded-For` counts, and that alone may connect beside this host.
    public var trustedProxies: [AddressBlock]
    /// A listening unix socket that only root can connect to; owned from here.
    public var controlSocket: Int32
    /// The orchestrator's socket.
    public var machinesSocket: String
    public var logger: Logger

    public init(
        state: String, listenHost: String, listenPort: Int, publicURL: String, allowedHosts: [String], trustedProxies: [AddressBlock],
        controlSocket: Int32, machinesSocket: String,        logger: Logger
    ) {
        self.state = state
        self.listenHost = listenHost
        self.listenPort = listenPort
        self.publicURL = publicURL
        self.allowedHosts = allowedHosts
        self.trustedProxies = trustedProxies
        self.controlSocket = controlSocket
        self.machinesSocket = machinesSocket
        self.logger = logger
    }
}

/// The gateway as a process: opens its state, wires control plane and data path, listens until told to end.
public enum GatewayService {
    /// - Parameters:
    ///   - ready: called once the listener is open and the first directory is published.
    ///   - untilStopped: returns when the process is to end.
    public static func run(
        _ configuration: GatewayConfiguration, ready: @Sendable () -> Void, untilStopped: @Sendable () async -> Void
    ) async throws {
        let logger = configuration.logger
        let started = WallClock.milliseconds()
        let state = try StateDirectory(configuration.state)
        let databasePath = state.file("gateway.db")
        // The ring first: a database without its keys is an error, never a reason for new ones.
        let keyRing = try KeyRing(path: state.file("keys"), createIfAbsent: !PrivateFile.exists(databasePath))
        let database = try DatabaseFile(databasePath, migrations: GatewaySchema.migrations)
        let org = try await organisation(database)
        let machines = MachinesClient(endpoint: .unix(path: configuration.machinesSocket))
        let auditDirectory = state.file("audit")
        try StateDirectory.prepare(auditDirectory)
        let audit = try AuditStore(path: state.file("audit.db"), journal: auditDirectory, logger: logger)
        await audit.start()

        let path = NIOLockedValueBox<GatewayDataPath?>(nil)
        let plane = try ControlPlane(
            database: database, keyRing: keyRing, org: org, publicURL: configuration.publicURL,
            listen: "\(configuration.listenHost):\(configuration.listenPort)", machines: machines,
            probe: { address, connector, credentials in
                guard let dataPath = path.withLockedValue({ $0 }) else { throw ProvisioningFailure(error: "busy", message: "the gateway is starting", hint: "run the command again") }
                do {
                    let result = try await dataPath.probe(address, of: connector, credentials: credentials)
                    return Array(result.toolsListResult.readableBytesView)
                } catch let failure as ProbeFailure {
                    throw ProvisioningFailure(
                        error: failure.error, message: "the server did not become ready: \(failure.message)", stderr: failure.stderr)
                }
            },
            drain: { address, app in await path.withLockedValue { $0 }?.drain(address, app: app) },
            publish: { directory in path.withLockedValue { $0 }?.publish(directory) },
            revoked: { revocation in
                let dataPath = path.withLockedValue { $0 }
                switch revocation {
                case .token(let id): dataPath?.endSessions(ofToken: id)
                case .virtualMCP(let slug): dataPath?.endSessions(ofVirtualMCP: slug)
                case .connector(let name): dataPath?.forget(connector: name)
                }
            }, logger: logger)
        let control = ControlRouter(
            api: ControlAPI(plane: plane, audit: audit) { caller, action, subject, failure in
                var row = AuditRow(method: "admin/\(action)", outcome: failure == nil ? .allowed : .error, principal: caller.principal)
                row.clientAddress = caller.clientAddress
                row.exposedTool = String(subject.prefix(128))
                row.reason = String((failure ?? "").prefix(512))
                try await path.withLockedValue { $0 }?.append(row)
            }, logger: logger,
            recordRefusal: { principal, address, reason in
                var row = AuditRow(method: "admin/refused", outcome: .denied, principal: principal)
                row.clientAddress = address
                row.reason = reason
                try await path.withLockedValue { $0 }?.append(row)
            })

        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let dataPath = try await GatewayDataPath.make(
            group: group, settings: DataPathSettings(org: org, allowedHosts: configuration.allowedHosts, trustedProxies: configuration.trustedProxies),
            support: plane, control: control,
            // One chain per loop, and one loop.
            journal: { _ in try AuditJournal(directory: auditDirectory, chain: "loop0", onAppend: { audit.enqueue($0) }) }, logger: logger)
        path.withLockedValue { $0 = dataPath }
        try await plane.start()
        try await dataPath.listenControl(.descriptor(configuration.controlSocket))
        _ = try await dataPath.listen(.tcp(host: configuration.listenHost, port: configuration.listenPort))
        logger.info("gateway listens", metadata: ["address": "\(configuration.listenHost):\(configuration.listenPort)"])
        ready()

        let lost = LostCalls(
            ask: { try await dataPath.ask(.calls, of: $0.address, app: $0.app) }, known: { try await audit.known($0) },
            connection: { try await audit.connection(of: $0) },
            append: { try await dataPath.append($0) }, logger: logger)
        let recording = Task { await recordLostCalls(lost, plane, before: started, logger) }
        await untilStopped()
        recording.cancel()
        await recording.value
        await dataPath.shutdown()
        await audit.close()
        try await group.shutdownGracefully()
    }

    /// Tries again for a while: the orchestrator may be starting, or a machine be busy.
    private static func recordLostCalls(_ lost: LostCalls, _ plane: ControlPlane, before start: Int64, _ logger: Logger) async {
        var pause = Duration.seconds(1)
        for _ in 1...8 where !Task.isCancelled {
            do {
                if try await lost.record(from: await plane.runningMachines(), before: start) == 0 { return }
            } catch {
                logger.warning("calls of an earlier process may lack their rows", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: pause)
            pause *= 2
        }
    }

    /// The installation's ULID, made at its first start.
    private static func organisation(_ database: DatabaseFile) async throws -> String {
        let store = ConnectorStore(database: database.pool)
        if let known = try await store.setting("org") { return String(decoding: known, as: UTF8.self) }
        let new = ULID().description
        try await store.setSetting("org", Array(new.utf8))
        return new
    }
}

extension MachinesClient: MachineLogs {}
