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
    /// What the session's client wants to hear of log messages outside of calls; nil: the server decides.
    let logLevel: String?
    private let deliver: (ByteBuffer, Envelope) -> Demand
    /// What the session's own server says outside of calls is wanted too.
    private let hearsAll: Bool
    private let gaveUp: () -> Void
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
    ///   - gaveUp: called when the service ended it because its notifications were not read.
    init(
        uris: [String], capabilities: ByteBuffer?, hearsAll: Bool, logLevel: String? = nil,
        acknowledged: @escaping (Result<ListenFilter, MCPError>) -> Void, deliver: @escaping (ByteBuffer, Envelope) -> Demand,
        gaveUp: @escaping () -> Void = {}
    ) {
        self.uris = uris
        self.hearsAll = hearsAll
        self.logLevel = logLevel
        client = ClientIdentity(info: ClientIdentity.berth.info, capabilities: capabilities ?? ClientIdentity.berth.capabilities)
        gate = SubscriptionGate(Self.filter(uris), hearsAll: hearsAll)
        self.acknowledged = acknowledged
        self.deliver = deliver
        self.gaveUp = gaveUp
    }

    /// The request of this subscription.
    var request: MCPRequest {
        var params = JSONObject([("notifications", Self.filter(uris).object)])
        if hearsAll {
            var meta = JSONObject([(SessionWords.mark, true)])
            if let logLevel { meta[MetaKey.logLevel] = .string(logLevel) }
            params["_meta"] = .object(meta)
        }
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
        case .failed(let why):
            tell(.failure(MCPError(why)))
            if why == .unread { gaveUp() }
        }
    }

    private func tell(_ result: Result<ListenFilter, MCPError>) {
        let callback = acknowledged
        acknowledged = nil
        callback?(result)
    }
}
