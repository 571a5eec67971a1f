import Door
import Gateway
import JSONText
import MCP
import NIOCore
import Sealing
import Wire

/// A machine's door of one boot, as far as the gateway can tell: checks tokens with Door's own verifier and answers
/// tools that do what their names say.
final class DataPathDoor: Sendable {
    struct Seen: Sendable {
        var path: String
        var principal: String
        var session: String
        var fingerprint: String
        var clientEra: String?
        var tool: String?
        var body: String
    }

    struct State: Sendable {
        var seen: [Seen] = []
        var refusals: [String] = []
        var cancelled = 0
        var running = 0
        var connectionsCut = 0
        var vault: [String: CredentialSet] = [:]
        var needsCredentials = false
        var isDraining = false
        var stats = #"{"last_failure":null}"#
    }

    let address: MachineAddress
    let state = Locked(State())
    private let server: PublicServer

    private init(address: MachineAddress, server: PublicServer) {
        self.address = address
        self.server = server
    }

    /// - Parameter keysOf: the boot whose keys it really has.
    static func start(
        directory: String, group: any EventLoopGroup, root: AppRoot, org: String, machine: String, boot: String, keysOf: String? = nil
    ) async throws -> DataPathDoor {
        let path = "\(directory)/\(boot).sock"
        let keys = try DoorKeys(root: root, machine: machine, boot: keysOf ?? boot)
        let made = Locked<DataPathDoor?>(nil)
        let server = try await PublicServer.bind(.unix(path: path), group: group) { _ in
            Delegate(keys: keys, org: org) { made.withLockedValue { $0 } }
        }
        let door = DataPathDoor(address: MachineAddress(machine: machine, boot: boot, door: "unix:\(path)"), server: server)
        made.withLockedValue { $0 = door }
        return door
    }

    func stop() async { await server.close(drain: .milliseconds(1)) }

    var calls: [Seen] { state.withLockedValue { $0.seen.filter { $0.path == "/mcp" } } }
    func calls(of tool: String) -> Int { calls.filter { $0.tool == tool }.count }

    private final class Delegate: ServerDelegate {
        private let verifier: TokenVerifier?
        private let sealer: AEADKey?
        private let door: () -> DataPathDoor?

        init(keys: DoorKeys, org: String, door: @escaping () -> DataPathDoor?) {
            verifier = try? TokenVerifier(keys: keys, org: org)
            sealer = try? AEADKey(keys.seal)
            self.door = door
        }

        func handle(_ exchange: ServerExchange) {
            guard let door = door(), let verifier else { return exchange.abort() }
            switch verifier.verify(headerValues: exchange.headers(HostedToken.headerName)) {
            case .failure(let refusal):
                door.state.withLockedValue { $0.refusals.append(refusal.rawValue) }
                exchange.reply(status: 401, headers: DataPathDoor.json, body: ByteBuffer(bytes: refusal.body))
            case .success(let claims): serve(exchange, claims, door)
            }
        }

        private func serve(_ exchange: ServerExchange, _ claims: HostedToken.Claims, _ door: DataPathDoor) {
            let request = exchange.path == "/mcp" ? try? MCPRequest(message: exchange.body) : nil
            let fingerprint = exchange.header(DoorHeaders.credentials) ?? ""
            let isReady = door.state.withLockedValue { state in
                state.seen.append(
                    Seen(
                        path: String(exchange.path), principal: claims.principal, session: claims.session, fingerprint: fingerprint,
                        clientEra: exchange.header(DoorHeaders.clientEra),
                        tool: request?.name, body: String(buffer: exchange.body)))
                return !state.needsCredentials || state.vault[claims.session]?.fingerprint == fingerprint
            }
            if door.state.withLockedValue({ $0.isDraining }) { return exchange.reply(503, #"{"error":"draining"}"#) }
            switch exchange.path {
            case "/credentials": put(exchange, claims, door)
            case "/stats": exchange.reply(status: 200, headers: DataPathDoor.json, body: .init(string: door.state.withLockedValue { $0.stats }))
            case "/mcp":
                guard isReady else { return exchange.reply(409, #"{"error":"credentials_needed"}"#) }
                guard let request else { return exchange.reply(400, "{}") }
                Tool(exchange: exchange, request: request, door: door).run()
            default: exchange.reply(200, "{}")
            }
        }

        private func put(_ exchange: ServerExchange, _ claims: HostedToken.Claims, _ door: DataPathDoor) {
            guard let sealer, let set = try? SealedCredentials.open(Array(exchange.body.readableBytesView), with: sealer, claims: claims) else {
                return exchange.reply(400, #"{"error":"bad_credentials"}"#)
            }
            door.state.withLockedValue { $0.vault[claims.session] = set }
            exchange.reply(200, "{}")
        }
    }

    static let json = [("content-type", "application/json")]

    /// What each tool does.
    private struct Tool {
        let exchange: ServerExchange
        let request: MCPRequest
        let door: DataPathDoor

        func run() {
            switch request.method == "tools/list" ? "list" : request.name {
            case "list":
                let tools = ["echo", "slow"].map { #"{"name":"\#($0)","inputSchema":{"type":"object"}}"# }.joined(separator: ",")
                answer(#"{"resultType":"complete","tools":[\#(tools)]}"#)
            case "slow":
                door.state.withLockedValue { $0.running += 1 }
                exchange.onClientGone = { [door] in door.state.withLockedValue { $0.cancelled += 1 } }
            case "progress": progress()
            case "fails": answer(#"{"content":[{"type":"text","text":"no"}],"isError":true}"#)
            case "error":
                exchange.reply(status: 200, headers: DataPathDoor.json, body: message(#""error":{"code":-32050,"message":"upstream says no"}"#))
            case "dies":
                door.state.withLockedValue { $0.connectionsCut += 1 }
                exchange.abort()
            case "unstarted":
                exchange.reply(
                    status: 200, headers: DataPathDoor.json,
                    body: message(#""error":{"code":1001,"message":"the server did not start","data":{"error":"not_delivered","message":"x"}}"#))
            case "asks":
                guard request.requestState == nil else { return answer(#"{"content":[{"type":"text","text":"\#(request.requestState ?? "")"}]}"#) }
                answer(
                    #"{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{}}},"requestState":"own state"}"#)
            case "gives_up":
                if String(buffer: request.message).contains("berth/wait") { return answer(#"{"resultType":"berth/settled"}"#) }
                guard request.requestState == nil else { return answer(#"{"content":[{"type":"text","text":"\#(request.requestState ?? "")"}]}"#) }
                answer(
                    #"{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{}}},"requestState":"own state","# +
                        #""_meta":{"berth/pending":true}}"#)
            case "garbage": exchange.reply(200, "no json")
            case "other": exchange.reply(200, #"{"jsonrpc":"2.0","id":"x","result":{}}"#)
            case "big": answer(#"{"content":[{"type":"text","text":"\#(String(repeating: "x", count: 3_000_000))"}]}"#)
            default: answer(#"{"content":[{"type":"text","text":"\#(door.address.boot)"}]}"#)
            }
        }

        private func progress() {
            let token = request.envelope.progressToken.map { String(buffer: request.slice($0)) } ?? "null"
            notify("progress", #"{"progressToken":\#(token),"progress":1}"#)
            notify("progress", #"{"progressToken":777,"progress":9}"#)
            notify("message", #"{"level":"info","data":"log line"}"#)
            exchange.event(message(#""result":{"content":[]}"#))
            exchange.closeStream()
        }

        private func notify(_ method: String, _ params: String) {
            exchange.event(ByteBuffer(string: #"{"jsonrpc":"2.0","method":"notifications/\#(method)","params":\#(params)}"#))
        }

        private func answer(_ result: String) { exchange.reply(status: 200, headers: DataPathDoor.json, body: message(#""result":\#(result)"#)) }

        private func message(_ member: String) -> ByteBuffer {
            ByteBuffer(string: #"{"jsonrpc":"2.0","id":\#(request.id.map { String(buffer: $0) } ?? "null"),\#(member)}"#)
        }
    }
}

extension ServerExchange {
    fileprivate func reply(_ status: Int, _ text: String) { reply(status: status, headers: DataPathDoor.json, body: ByteBuffer(string: text)) }
}
