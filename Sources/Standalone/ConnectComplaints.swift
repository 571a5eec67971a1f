public import MCP
import NIOCore

extension Undelivered {
    /// A refusal by HTTP that came to one call, of a server that had answered others; nil for an error of the protocol.
    public init?(refusal error: MCPError) {
        guard [MCPError.Code.notDelivered, MCPError.Code.outcomeUnknown].contains(error.code), error.message.hasPrefix("the server answered HTTP")
        else { return nil }
        self.init(error.code == MCPError.Code.notDelivered ? .notDelivered : .outcomeUnknown, error.message)
    }
}

/// What a client of `berth connect` is told of a server that does not answer: with the remedy, and in its log too, where people look.
/// Confined to the loop.
final class ConnectComplaints: MCPService {
    let eventLoop: any EventLoop
    private let next: any MCPService
    private let explain: (Undelivered) -> Undelivered
    private let log: (String) -> Void
    private var last: String?

    init(next: any MCPService, explain: @escaping (Undelivered) -> Undelivered, log: @escaping (String) -> Void) {
        eventLoop = next.eventLoop
        self.next = next
        self.explain = explain
        self.log = log
    }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        next.call(
            request, in: context,
            sink: MappingSink(sink) { [self] outcome in
                switch outcome {
                case .result:
                    last = nil
                    return outcome
                case .failed(let why): return .failed(told(why))
                case .error(let error):
                    guard let why = Undelivered(refusal: error) else { return outcome }
                    return .failed(told(why))
                }
            })
    }

    /// The log has each but once, however often the client tries again.
    func told(_ why: Undelivered) -> Undelivered {
        let told = explain(why)
        if told != why, told.reason != last {
            last = told.reason
            log(told.reason)
        }
        return told
    }
}
