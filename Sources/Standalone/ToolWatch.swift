import JSONText
import MCP
import NIOCore

/// Reads the lists of tools that pass, for what the front must know of them: which arguments clients repeat in headers.
final class ToolWatch: MCPService {
    let eventLoop: any EventLoop
    private let next: any MCPService
    private let learned: (_ isFirstPage: Bool, [String: ParameterHeaders]) -> Void

    init(next: any MCPService, learned: @escaping (_ isFirstPage: Bool, [String: ParameterHeaders]) -> Void) {
        eventLoop = next.eventLoop
        self.next = next
        self.learned = learned
    }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        guard request.method == "tools/list" else { return next.call(request, in: context, sink: sink) }
        let isFirst = request.envelope.params.map { params in
            (try? JSONMembers.value(of: "cursor", object: params, in: request.message.readableBytesSpan)) ?? nil == nil
        }
        let seen = MappingSink(sink) { [learned] outcome in
            if case .result(let result) = outcome { learned(isFirst ?? true, ParameterHeaders.byTool(result)) }
            return outcome
        }
        return next.call(request, in: context, sink: seen)
    }
}
