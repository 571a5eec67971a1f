import JSONText
import NIOCore

/// What a legacy session hears of by itself: one subscription of ours to the service, fed to the session's GET stream.
///
/// It ends when the session's server is put away, and begins again with the session's next request: a stream that is merely open does
/// not keep a server running.
final class SessionListen: MCPSink {
    /// What the session wants of resources: `resources/subscribe`.
    let uris: [String]
    private let client: ClientIdentity
    private let deliver: (ByteBuffer, Envelope) -> Demand
    /// What the session's own server says outside of calls is wanted too.
    private let hearsAll: Bool
    private var acknowledged: ((Result<ListenFilter, MCPError>) -> Void)?
    private var call: (any MCPCall)?
    private(set) var hasEnded = false
    private var gate: SubscriptionGate
    /// Nobody knows yet whether it is granted.
    var isPending: Bool { acknowledged != nil }

    /// - Parameters:
    ///   - capabilities: what the session's client declared: a server that starts for this is told.
    ///   - hearsAll: the session's server is its own: everything is wanted that it says outside of calls, questions included.
    ///   - acknowledged: called once, with what was granted or why nothing was.
    ///   - deliver: takes each notification as a legacy client reads it.
    init(
        uris: [String], capabilities: ByteBuffer?, hearsAll: Bool, acknowledged: @escaping (Result<ListenFilter, MCPError>) -> Void,
        deliver: @escaping (ByteBuffer, Envelope) -> Demand
    ) {
        self.uris = uris
        self.hearsAll = hearsAll
        client = ClientIdentity(info: ClientIdentity.berth.info, capabilities: capabilities ?? ClientIdentity.berth.capabilities)
        gate = SubscriptionGate(Self.filter(uris), hearsAll: hearsAll)
        self.acknowledged = acknowledged
        self.deliver = deliver
    }

    /// The request of this subscription.
    var request: MCPRequest {
        var params = JSONObject([("notifications", Self.filter(uris).object)])
        if hearsAll { params["_meta"] = [SessionWords.mark: true] }
        return MCPRequest(method: "subscriptions/listen", params: params, client: client)
    }

    private static func filter(_ uris: [String]) -> ListenFilter { ListenFilter(tools: true, prompts: true, resources: true, uris: uris) }

    func started(_ call: any MCPCall) {
        guard !hasEnded else { return }
        self.call = call
    }

    func cancel() {
        hasEnded = true
        let call = call
        self.call = nil
        tell(.failure(.sessionEnded))
        call?.cancel()
    }

    /// Whoever takes the notifications can take more.
    func resume() { call?.resume() }

    func notification(_ message: ByteBuffer) -> Demand {
        var demand = Demand.more
        for message in gate.pass(message) {
            // Whoever hears of the acknowledgement may end it.
            guard !hasEnded, let envelope = try? EnvelopeScanner.scan(message.readableBytesSpan) else { return .more }
            if envelope.method == "notifications/subscriptions/acknowledged" {
                tell(.success(gate.granted ?? ListenFilter()))
            } else if deliver(Subscription.untagged(message, envelope), envelope) == .pause {
                demand = .pause
            }
        }
        return demand
    }

    func finish(_ outcome: consuming MCPOutcome) {
        hasEnded = true
        call = nil
        switch outcome {
        case .result: tell(.success(ListenFilter()))
        case .error(let error): tell(.failure(error))
        case .failed(let why): tell(.failure(MCPError(why)))
        }
    }

    private func tell(_ result: Result<ListenFilter, MCPError>) {
        let callback = acknowledged
        acknowledged = nil
        callback?(result)
    }
}
