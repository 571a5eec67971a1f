import MCP
import NIOCore

/// Ends calls that are never answered: a client that asks for nothing but an answer would be kept alive for ever. Subscriptions have no
/// end but their client's, and who waits beside a question has the question's.
final class CallLimit: MCPService {
    let eventLoop: any EventLoop
    private let next: any MCPService
    private let limit: TimeAmount

    init(next: any MCPService, limit: TimeAmount) {
        eventLoop = next.eventLoop
        self.next = next
        self.limit = limit
    }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        guard request.method != "subscriptions/listen", !context.isWatch else { return next.call(request, in: context, sink: sink) }
        var context = context
        context.deadline = min(context.deadline ?? .distantFuture, .now() + limit)
        return next.call(request, in: context, sink: sink)
    }
}
