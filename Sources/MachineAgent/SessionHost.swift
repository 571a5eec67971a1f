import MCP
import StdioBridge

/// What serves the sessions of a machine behind its door: children over STDIO, or one server that speaks HTTP. Confined to the loop.
protocol SessionHost: MCPService {
    /// - Parameter onDelivery: told when the server has been handed all of the request: from then on it may have run.
    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink, onDelivery: (() -> Void)?) -> any MCPCall
    /// A request of Berth's own, such as what a server offers, in no client's session.
    func probe(_ request: MCPRequest, sink: any MCPSink, onDelivery: (() -> Void)?) -> any MCPCall
    /// Proves that the server answers MCP.
    func ready(_ completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void)
    /// The same of one session's server.
    func ready(for key: SessionKey, _ completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void)
    func end(session id: String, completion: @escaping (Bool) -> Void)
    func drain(completion: @escaping () -> Void)
    func shutdown(completion: @escaping () -> Void)

    func reports() -> [ChildReport]
    var lastFailure: ChildFailure? { get }
    var isDraining: Bool { get }
    /// Sessions that hold something here, those that are leaving included.
    var count: Int { get }
    /// Sessions at most.
    var limit: Int { get }
    /// Sessions with a call under way, or whose client is asked.
    var busy: Int { get }
    var sessionIDs: Set<String> { get }
    /// The process that waits for the next session.
    var sparePID: Int32? { get }
    /// The one process of all sessions, where there is one.
    var server: ChildReport? { get }
    /// Nothing is left of this session, and no other has taken its place.
    var onGone: ((SessionKey) -> Void)? { get set }
}

extension Sessions: SessionHost {
    func probe(_ request: MCPRequest, sink: any MCPSink, onDelivery: (() -> Void)?) -> any MCPCall {
        callSpare(request, sink: sink, onDelivery: onDelivery)
    }

    func ready(_ completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) { warm(completion: completion) }

    func ready(for key: SessionKey, _ completion: @escaping (Result<ServerIdentity, Undelivered>) -> Void) {
        identity(for: key, completion: completion)
    }

    var server: ChildReport? { nil }
    var limit: Int { maximumSessions }
}
