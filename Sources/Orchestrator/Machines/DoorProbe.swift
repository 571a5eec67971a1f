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
        struct Stats: Decodable { var busy: Int? }
        guard let endpoint = Endpoint(door: door), let minter = try? sender.minter(for: keys, org: org, issuer: "orchestrator"),
            let token = try? minter.mint(principal: "berth:orchestrator", session: "suspend").token,
            let response = try? await http.execute(
                DoorRoute.stats.method, DoorRoute.stats.path, headers: [(HostedToken.headerName, token)], to: endpoint, headTimeout: .seconds(5)),
            let body = try? await response.collect(upTo: 64 << 10), response.status == 200
        else { return nil }
        return (try? JSONDecoder().decode(Stats.self, from: Data(body.readableBytesView)))?.busy
    }

    func forget(machine: String, boot: String) { sender.forget(.machine(id: machine, boot: boot)) }
}
