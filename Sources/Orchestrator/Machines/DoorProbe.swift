import Door
import FoundationEssentials
import NIOCore
import Wire

/// What a machine's agent said.
enum DoorAnswer: Sendable, Equatable {
    case yes
    case no(String)
    /// Nobody answers (yet).
    case silence(String)
}

/// Asks agents how they are.
protocol DoorAsking: Sendable {
    /// - Parameter isDeep: whether a server of the machine answers MCP, else whether its agent does.
    func ask(_ door: String, keys: DoorKeys, org: String, isDeep: Bool) async -> DoorAnswer
    /// How many of a machine's processes are at work for somebody; `nil` when the agent does not tell.
    func busyChildren(_ door: String, keys: DoorKeys, org: String) async -> Int?
    /// How the processes of a machine's server fare; `nil` when the agent does not tell.
    func processes(_ door: String, keys: DoorKeys, org: String) async -> ServerProcesses?
    /// How the machine is used; `nil` when the agent does not tell.
    func use(_ door: String, keys: DoorKeys, org: String) async -> MachineUse?
    /// Has the agent take no more calls, if nobody has used it for so long.
    func drain(_ door: String, keys: DoorKeys, org: String, ifIdleFor time: Duration) async -> DoorAnswer
    /// The boot is over.
    func forget(machine: String, boot: String) async
}

/// Asks through the door, with a token like every caller.
actor DoorProbe: DoorAsking {
    private let http: HTTPClient
    /// One for the life of the process: an agent remembers few senders, and a counter must not begin again.
    private let sender = TokenSender()

    init(http: HTTPClient) { self.http = http }

    func ask(_ door: String, keys: DoorKeys, org: String, isDeep: Bool) async -> DoorAnswer {
        guard let endpoint = Endpoint(door: door) else { return .no("the door \(door) cannot be read") }
        let route = isDeep ? DoorRoute.ready : .health
        do {
            let minter = try sender.minter(for: keys, org: org, issuer: "orchestrator")
            let token = try minter.mint(principal: "berth:orchestrator", session: "readiness").token
            let response = try await http.execute(
                route.method, route.path, headers: [(HostedToken.headerName, token)], to: endpoint, headTimeout: .seconds(45))
            let body = try await response.collect(upTo: 64 << 10)
            if response.status == 200 { return .yes }
            struct Refusal: Decodable { var error: String?; var reason: String?; var message: String? }
            let refusal = try? JSONDecoder().decode(Refusal.self, from: Data(body.readableBytesView))
            return .no(refusal?.message ?? refusal?.reason ?? refusal?.error ?? "the agent answered HTTP \(response.status)")
        } catch {
            return .silence("\(error)")
        }
    }

    func busyChildren(_ door: String, keys: DoorKeys, org: String) async -> Int? {
        await read(.stats, of: door, keys: keys, org: org, session: "suspend", as: Stats.self)?.busy
    }

    func processes(_ door: String, keys: DoorKeys, org: String) async -> ServerProcesses? {
        struct Sessions: Decodable { var sessions: [ServerProcesses.Process] }
        guard let told = await read(.sessions, of: door, keys: keys, org: org, session: "processes", as: Sessions.self),
            let stats = await read(.stats, of: door, keys: keys, org: org, session: "processes", as: Stats.self)
        else { return nil }
        // A server that speaks HTTP is one process, whoever uses it.
        return ServerProcesses(processes: stats.server.map { [$0] } ?? told.sessions, last_failure: stats.last_failure?.reason)
    }

    func use(_ door: String, keys: DoorKeys, org: String) async -> MachineUse? {
        await read(.stats, of: door, keys: keys, org: org, session: "idle", as: Stats.self).flatMap { stats in
            // An agent of before knows nothing of it.
            stats.open == nil ? nil : MachineUse(idle: stats.idle_ms.map { .milliseconds($0) })
        }
    }

    func drain(_ door: String, keys: DoorKeys, org: String, ifIdleFor time: Duration) async -> DoorAnswer {
        let milliseconds = time.components.seconds * 1_000 + time.components.attoseconds / 1_000_000_000_000_000
        guard let endpoint = Endpoint(door: door) else { return .silence("the door \(door) cannot be read") }
        do {
            let token = try sender.minter(for: keys, org: org, issuer: "orchestrator").mint(principal: "berth:orchestrator", session: "idle").token
            let response = try await http.execute(
                DoorRoute.drain.method, DoorRoute.drain.path,
                headers: [(HostedToken.headerName, token), (DoorHeaders.ifIdle, "\(milliseconds)")], to: endpoint, headTimeout: .seconds(5))
            _ = try await response.collect(upTo: 64 << 10)
            switch response.status {
            case 202: return .yes
            case 409: return .no(DoorErrorCode.inUse)
            case let status: return .silence("HTTP \(status)")
            }
        } catch {
            return .silence("\(error)")
        }
    }

    private struct Stats: Decodable {
        struct Failure: Decodable { var reason: String }
        var busy: Int?
        var open: Int?
        var idle_ms: Int?
        var server: ServerProcesses.Process?
        var last_failure: Failure?
    }

    private func read<T: Decodable>(
        _ route: DoorRoute, of door: String, keys: DoorKeys, org: String, session: String, as type: T.Type
    ) async -> T? {
        guard let endpoint = Endpoint(door: door), let minter = try? sender.minter(for: keys, org: org, issuer: "orchestrator"),
            let token = try? minter.mint(principal: "berth:orchestrator", session: session).token,
            let response = try? await http.execute(
                route.method, route.path, headers: [(HostedToken.headerName, token)], to: endpoint, headTimeout: .seconds(5)),
            let body = try? await response.collect(upTo: 1 << 20), response.status == 200
        else { return nil }
        return try? JSONDecoder().decode(type, from: Data(body.readableBytesView))
    }

    func forget(machine: String, boot: String) { sender.forget(.machine(id: machine, boot: boot)) }
}
