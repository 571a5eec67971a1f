import ControlSurface
import Door
import GRDB
import Glibc
import Logging
import MachineAPI
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Persistence
import Sealing
import Wire

/// The gateway as a process: opens its state, wires control plane and data path, listens until told to end.
public enum GatewayService {
    /// - Parameters:
    ///   - ready: called once the listener is open and the first directory is published.
    ///   - untilStopped: returns when the process is to end.
    public static func run(
        _ configuration: GatewayConfiguration, ready: @Sendable () -> Void, untilStopped: @Sendable () async -> Void
    ) async throws {
        var opened = OpenedParts()
        do {
            try await start(configuration, &opened)
        } catch {
            await opened.close()
            throw error
        }
        ready()
        await untilStopped()
        await opened.close()
    }

    /// Opens everything; `opened` hears of each part, so that a start that fails half-way holds nothing.
    private static func start(_ configuration: GatewayConfiguration, _ opened: inout OpenedParts) async throws {
        let logger = configuration.logger
        let started = WallClock.milliseconds()
        let controlSocket = OwnedDescriptor(configuration.controlSocket)
        opened.add { controlSocket.close() }
        let state = try StateDirectory(configuration.state)
        let databasePath = state.file("gateway.db")
        // The ring first: a database without its keys is an error, never a reason for new ones.
        let keyRing = try KeyRing(path: state.file("keys"), createIfAbsent: !PrivateFile.exists(databasePath))
        let database = try DatabaseFile(databasePath, migrations: GatewaySchema.migrations)
        opened.add { try? database.pool.close() }
        let org = try await organisation(database)
        let machines = MachinesClient(endpoint: .unix(path: configuration.machinesSocket))
        opened.add { await machines.shutdown() }
        let auditDirectory = state.file("audit")
        try StateDirectory.prepare(auditDirectory)
        let audit = try AuditStore(path: state.file("audit.db"), journal: auditDirectory, logger: logger)
        opened.add { await audit.close() }
        audit.begin()

        let path = DataPathSlot()
        let plane = try ControlPlane(
            database: database, keyRing: keyRing, org: org, publicURL: configuration.publicURL,
            listen: "\(configuration.listenHost):\(configuration.listenPort)", machines: machines,
            probe: { address, connector, credentials in
                guard let dataPath = path.current else {
                    throw ProvisioningFailure(error: "busy", message: "the gateway is starting", hint: "run the command again")
                }
                do {
                    let result = try await dataPath.probe(address, of: connector, credentials: credentials)
                    return Array(result.toolsListResult.readableBytesView)
                } catch let failure as ProbeFailure {
                    throw ProvisioningFailure(
                        error: failure.error, message: "the server did not become ready: \(failure.message)", stderr: failure.stderr)
                }
            },
            drain: { address, app in await path.current?.drain(address, app: app) },
            asking: MachineAsking(
                use: { address, app in await path.current?.use(of: address, app: app) },
                drainIfIdle: { address, app, time in await path.current?.drainIfIdle(address, app: app, for: time) ?? false }),
            publish: { directory in path.current?.publish(directory) },
            revoked: { revocation in
                switch revocation {
                case .token(let id): path.current?.endSessions(ofToken: id)
                case .virtualMCP(let slug): path.current?.endSessions(ofVirtualMCP: slug)
                case .connector(let name): path.current?.forget(connector: name)
                }
            }, logger: logger)

        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        opened.add { try? await group.shutdownGracefully() }
        // Once no request can begin a change any more.
        opened.add { await plane.stop() }
        let dataPath = try await GatewayDataPath.make(
            group: group,
            settings: DataPathSettings(org: org, allowedHosts: configuration.allowedHosts, trustedProxies: configuration.trustedProxies),
            support: plane, control: control(plane, audit, path, logger),
            // One chain per loop, and one loop.
            journal: { _ in try AuditJournal(directory: auditDirectory, chain: "loop0", onAppend: { audit.enqueue($0) }) }, logger: logger)
        path.current = dataPath
        opened.add {
            await dataPath.shutdown()
            // What the plane holds would keep it, and with it the journal.
            path.current = nil
        }
        try await plane.start()
        try await dataPath.listenControl(.descriptor(controlSocket.take()))
        _ = try await dataPath.listen(.tcp(host: configuration.listenHost, port: configuration.listenPort))
        logger.info("gateway listens", metadata: ["address": "\(configuration.listenHost):\(configuration.listenPort)"])

        let lost = LostCalls(
            ask: { try await dataPath.ask(.calls, of: $0.address, app: $0.app) }, known: { try await audit.known($0) },
            connection: { try await audit.connection(of: $0) },
            append: { try await dataPath.append($0) }, logger: logger)
        let recording = Task { await recordLostCalls(lost, plane, before: started, logger) }
        opened.add {
            recording.cancel()
            await recording.value
        }
    }

    /// What answers everything that is not MCP, with its rows.
    private static func control(_ plane: ControlPlane, _ audit: AuditStore, _ path: DataPathSlot, _ logger: Logger) -> ControlRouter {
        ControlRouter(
            api: ControlAPI(plane: plane, audit: audit, record: { try await path.append($0) }) { caller, action, subject, failure in
                var row = AuditRow(method: "admin/\(action)", outcome: failure == nil ? .allowed : .error, principal: caller.principal)
                row.clientAddress = caller.clientAddress
                row.exposedTool = String(subject.prefix(128))
                row.reason = String((failure ?? "").prefix(512))
                try await path.append(row)
            }, logger: logger,
            recordRefusal: { principal, address, reason in
                var row = AuditRow(method: "admin/refused", outcome: .denied, principal: principal)
                row.clientAddress = address
                row.reason = reason
                try await path.append(row)
            })
    }

    /// Tries again for a while: the orchestrator may be starting, or a machine be busy.
    private static func recordLostCalls(_ lost: LostCalls, _ plane: ControlPlane, before start: Int64, _ logger: Logger) async {
        var pause = Duration.seconds(1)
        for _ in 1...8 where !Task.isCancelled {
            do {
                let (machines, silent) = try await plane.runningMachines()
                if try await lost.record(from: machines, before: start) + silent == 0 { return }
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

/// Where the control plane, which is made first, finds the data path.
private final class DataPathSlot: Sendable {
    private let box = NIOLockedValueBox<GatewayDataPath?>(nil)

    var current: GatewayDataPath? {
        get { box.withLockedValue { $0 } }
        set { box.withLockedValue { $0 = newValue } }
    }

    /// - Throws: the row is not in the log then.
    func append(_ row: AuditRow) async throws {
        guard let current else { throw AuditError(code: .cannotWrite, message: "audit log: the gateway ends") }
        try await current.append(row)
    }
}

/// A descriptor until somebody takes it over.
private final class OwnedDescriptor: Sendable {
    private let box: NIOLockedValueBox<Int32?>

    init(_ value: Int32) { box = NIOLockedValueBox(value) }

    /// It is the caller's from here on.
    func take() -> Int32 {
        box.withLockedValue { value in
            defer { value = nil }
            return value ?? -1
        }
    }

    func close() {
        let value = box.withLockedValue { value in
            defer { value = nil }
            return value
        }
        if let value { Glibc.close(value) }
    }
}

extension MachinesClient: MachineLogs {}
