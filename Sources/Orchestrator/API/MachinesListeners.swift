import Hummingbird
import Logging
import MachineAPI
import NIOConcurrencyHelpers
import NIOCore
import Persistence
import Sealing
import Wire

/// Where the Machines API listens: a unix socket for root and the gateway, and loopback TCP with a token.
final class MachinesListeners: Sendable {
    private let orchestrator: MachineService
    private let configuration: OrchestratorConfiguration
    private let group: any EventLoopGroup
    private let logger: Logger
    private let servers = NIOLockedValueBox<[PublicServer]>([])
    /// To the machines' doors, for requests by their addresses.
    private let http: HTTPClient
    private let requests: AddressedRequests

    init(orchestrator: MachineService, configuration: OrchestratorConfiguration, group: any EventLoopGroup, logger: Logger) {
        self.orchestrator = orchestrator
        self.configuration = configuration
        self.group = group
        self.logger = logger
        http = HTTPClient(eventLoopGroup: group)
        requests = AddressedRequests(reconciler: orchestrator.reconciler)
    }

    func open() async throws {
        let responder = orchestrator.responder()
        let token = try await token("token")
        let execToken = orchestrator.exec.isAllowed ? try await self.token("exec-token") : nil
        let policy = OriginPolicy(allowedHosts: [configuration.listenHost] + configuration.allowedHosts)
        let tcp = try await openTCP(responder, MachinesAccess(kind: .tcp(token: token, execToken: execToken, policy: policy)))
        servers.withLockedValue { $0.append(tcp) }
        let host = configuration.listenHost.contains(":") ? "[\(configuration.listenHost)]" : configuration.listenHost
        orchestrator.listens(at: MachinesBootstrap(machines_url: "http://\(host):\(tcp.port ?? 0)", machines_token: token, machines_exec_token: execToken))

        let descriptor = try HostSocket.listen(configuration.machinesSocket, group: configuration.gatewayGID)
        let unix = try await serve(.descriptor(descriptor.release()), responder, MachinesAccess(kind: .socket(gatewayUID: configuration.gatewayUID)))
        servers.withLockedValue { $0.append(unix) }
    }

    func close() async {
        await withDiscardingTaskGroup { group in
            for server in servers.withLockedValue({ $0 }) { group.addTask { await server.close(drain: .seconds(3)) } }
        }
        await http.shutdown()
    }

    private func openTCP(_ responder: RouterResponder<MachinesContext>, _ access: MachinesAccess) async throws -> PublicServer {
        func open(_ port: Int) async throws -> PublicServer {
            try await serve(.tcp(host: configuration.listenHost, port: port), responder, access)
        }
        guard configuration.listenPort == 0 else { return try await open(configuration.listenPort) }
        // The same address after a restart, if nobody took it.
        let last = try await orchestrator.store.setting("port").flatMap { Int(String(decoding: $0, as: UTF8.self)) }
        if let last, let server = try? await open(last) { return server }
        let server = try await open(0)
        try await orchestrator.store.setSetting("port", Array("\(server.port ?? 0)".utf8))
        return server
    }

    private func serve(
        _ address: ListenAddress, _ responder: RouterResponder<MachinesContext>, _ access: MachinesAccess
    ) async throws -> PublicServer {
        let (logger, limit) = (logger, orchestrator.uploads.limit)
        let addressed = AddressedExchange(requests: requests, http: http, logger: logger)
        return try await PublicServer.bind(address, group: group, limits: Self.limits) { _ in
            MachinesDelegate(responder: responder, addressed: addressed, access: access, uploadLimit: limit, logger: logger)
        }
    }

    /// Whoever is on the host reaches the TCP port, and each connection is one of this process's descriptors.
    private static var limits: ServerLimits {
        var limits = ServerLimits()
        limits.connections = 256
        // Of requests to machines and of configurations; uploads are files.
        limits.bodyBytesInAll = 128 << 20
        limits.bodyBytesPerPayer = 128 << 20
        return limits
    }

    /// A token of the TCP listener, sealed in the database.
    ///
    /// - Parameter name: of its setting.
    private func token(_ name: String) async throws -> String {
        let (store, identity) = (orchestrator.store, "settings/\(name)")
        if let sealed = try await store.setting(name) {
            return String(decoding: try store.keys.open(sealed, identity: identity), as: UTF8.self)
        }
        let token = "berth_" + Base64URL.encode(try randomBytes(32))
        try await store.setSetting(name, try store.keys.seal(Array(token.utf8), identity: identity))
        return token
    }
}
