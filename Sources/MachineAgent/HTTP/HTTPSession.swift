import MCP
import NIOCore
import RemoteClient
import StdioBridge

/// One session of the gateway at the machine's HTTP server: an MCP session of its own, which nobody else's calls go into. It outlives the
/// server's processes. Confined to its loop.
final class HTTPSession {
    let key: SessionKey
    let born = NIODeadline.now()
    /// When somebody last asked it something, or was last answered.
    private(set) var lastUse = NIODeadline.now()
    /// Its conversation, once the server was up.
    private(set) var remote: RemoteServer?
    private var calls: [ObjectIdentifier: HTTPCall] = [:]
    /// Those among them that wait for the server to be up.
    private var waiting: [HTTPCall] = []
    private var identityWaiters: [(declared: ByteBuffer?, completion: (Result<ServerIdentity, Undelivered>) -> Void)] = []
    /// What an earlier session of the same client knew is lost, and no answer has told so yet.
    private let owesLoss: Bool
    private let prefersHandshake: Bool
    /// A call came to its end, with what its caller will be told.
    var onCallEnded: ((inout MCPOutcome) -> Void)?
    /// Why it was ended.
    private var ending: String?

    init(key: SessionKey, client: Era, owesLoss: Bool) {
        self.key = key
        prefersHandshake = client == .legacy
        self.owesLoss = owesLoss
    }

    /// Nobody waits for it, and it waits for nobody's answer.
    var isIdle: Bool {
        calls.values.allSatisfy(\.isListen) && waiting.isEmpty && identityWaiters.isEmpty && (remote?.suspendedCount ?? 0) == 0
    }
    /// Somebody waits for the server to be up.
    var isWaiting: Bool { !waiting.isEmpty || !identityWaiters.isEmpty }
    var callsInFlight: Int { calls.count }
    /// The session would miss what the server knows of it.
    var hasState: Bool { remote?.holdsState ?? owesLoss }

    func serves(_ capabilities: ByteBuffer?) -> Bool { capabilities == nil || remote?.serves(capabilities) ?? true }
    func awaits(_ request: MCPRequest) -> Bool { remote?.awaits(request) ?? false }

    func add(_ call: HTTPCall, isUp: Bool) {
        lastUse = .now()
        calls[ObjectIdentifier(call)] = call
        call.onEnd = { [weak self] call, outcome in
            guard let self else { return }
            calls[ObjectIdentifier(call)] = nil
            waiting.removeAll { $0 === call }
            if !call.isListen { lastUse = .now() }
            if let ending, case .failed(let why) = outcome { outcome = .failed(Undelivered(why.kind, ending)) }
            onCallEnded?(&outcome)
        }
        if isUp, let remote { deliver(call, to: remote) } else { waiting.append(call) }
    }

    func identify(declaring capabilities: ByteBuffer?, isUp: Bool, _ completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) {
        lastUse = .now()
        if isUp, let remote { return remote.identity(declaring: capabilities, completion: completion) }
        identityWaiters.append((capabilities, completion))
    }

    /// The server is up.
    ///
    /// - Parameter make: its conversation, at the first time.
    func flush(_ make: () -> RemoteServer?) {
        if ending != nil { return }
        if remote == nil, let made = make() {
            if prefersHandshake { made.prefer(.legacy) }
            if owesLoss { made.tellLoss() }
            remote = made
        }
        guard let remote else { return }
        let (ready, asking) = (waiting, identityWaiters)
        (waiting, identityWaiters) = ([], [])
        for call in ready { deliver(call, to: remote) }
        for waiter in asking { remote.identity(declaring: waiter.declared, completion: waiter.completion) }
    }

    private func deliver(_ call: HTTPCall, to remote: RemoteServer) {
        call.deliver { remote.call($0, in: $1, sink: $2, onDelivery: $3) }
    }

    func failWaiting(_ why: Undelivered) {
        let (lost, asking) = (waiting, identityWaiters)
        (waiting, identityWaiters) = ([], [])
        for call in lost { call.fail(why) }
        for waiter in asking { waiter.completion(.failure(why)) }
    }

    /// Its server's process is gone.
    func connectionLost(_ reason: String) { remote?.connectionLost(reason) }

    /// Ends it at the server too; calls in flight may have run.
    func end(_ reason: String, completion: @escaping () -> Void) {
        ending = reason
        failWaiting(Undelivered(.notDelivered, reason))
        guard let remote else { return completion() }
        remote.close(completion)
    }
}
