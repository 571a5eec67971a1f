import Hummingbird
import Logging
import NIOHTTP1
import Sealing
import Wire

/// Who speaks to the Machines API.
enum MachinesCaller: Sendable, Equatable {
    /// A root process of this host, over the unix socket.
    case root
    /// The gateway's user over the unix socket: everything but what only root may.
    case gateway
    /// A token of the organisation: what the gateway may, but for saying which machines are the gateway's.
    case organisation
    /// The organisation's other token: the same, and commands in machines.
    case executor

    /// Whether a machine may be given the marks by which the gateway knows its own.
    var marksMachines: Bool { !isToken }

    /// Whether it is known by a token, over TCP.
    var isToken: Bool { self == .organisation || self == .executor }

    /// Whether it may run commands in machines, where the host lets anybody. The gateway may not: nothing that it does needs it.
    var mayExec: Bool { self == .root || self == .executor }
}

/// Who may come in, on one listener.
struct MachinesAccess: Sendable {
    enum Kind: Sendable {
        /// The kernel says who the peer is.
        case socket(gatewayUID: UInt32)
        /// A bearer token, and a `Host` that is ours: web pages of this host can reach it too. The one for commands is there only
        /// where the host lets anybody run them.
        case tcp(token: String, execToken: String?, policy: OriginPolicy)
    }

    let kind: Kind

    func caller(_ head: HTTPRequestHead, peer: ServerPeer) -> Result<MachinesCaller, MachineFailure> {
        switch kind {
        case .socket(let gatewayUID):
            switch peer.uid {
            case 0: return .success(.root)
            case gatewayUID: return .success(.gateway)
            default: return .failure(MachineFailure(.forbidden, "forbidden", "this user may not use the Machines API"))
            }
        case .tcp(let token, let execToken, let policy):
            // A machine's address is one of ours too; no page can name it, since it has no token.
            let hosts = head.headers["host"]
            let isAddressed = hosts.count == 1 && InternalAddress(host: hosts[0]) != nil
            if policy.check(hosts: isAddressed ? ["localhost"] : hosts, origins: head.headers["origin"]) != nil {
                return .failure(MachineFailure(.forbidden, "forbidden", "the request names a host or an origin that is not ours", field: "host"))
            }
            let values = head.headers["authorization"]
            let given = values.count == 1 ? Self.tokens(in: values[0]) : []
            func isGiven(_ token: String) -> Bool { given.contains { constantTimeEquals(Array($0.utf8), Array(token.utf8)) } }
            if let execToken, isGiven(execToken) { return .success(.executor) }
            guard isGiven(token) else {
                return .failure(
                    MachineFailure(
                        .unauthorized, "unauthorized", "a valid token is needed", field: "authorization", hint: "Authorization: Bearer <token>"))
            }
            return .success(.organisation)
        }
    }

    /// `Bearer <token>`, or Fly's clients' `FlyV1 <token>,<token>`: any valid one does.
    static func tokens(in value: String) -> [Substring] {
        let words = value.split(separator: " ", maxSplits: 1)
        guard words.count == 2, ["bearer", "flyv1"].contains(words[0].lowercased()) else { return [] }
        return words[1].split(separator: ",").map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
    }
}

/// What a request carries beside itself.
struct MachinesContext: RequestContext {
    struct Source: RequestContextSource {
        let logger: Logger
        let caller: MachinesCaller
    }

    var coreContext: CoreRequestContextStorage
    let caller: MachinesCaller

    init(source: Source) {
        coreContext = .init(source: source)
        caller = source.caller
    }

    func requireRoot() throws(MachineFailure) {
        guard caller == .root else {
            throw MachineFailure(.forbidden, "forbidden", "this is answered to root on the unix socket only", hint: "run berth on the host as root")
        }
    }
}
