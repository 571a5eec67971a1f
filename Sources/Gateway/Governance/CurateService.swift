import JSONText
import MCP
import NIOCore

/// Makes a virtual MCP of its connectors: answers its lists from the catalogue and turns an exposed tool's name into
/// connector and tool.
final class CurateService: MCPService {
    let eventLoop: any EventLoop
    private let directory: DirectorySlot
    private let next: any MCPService
    let listens = CatalogueListens()

    init(next: any MCPService, directory: DirectorySlot) {
        eventLoop = next.eventLoop
        self.next = next
        self.directory = directory
    }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        guard let record = CallRecord.of(context) else {
            sink.finish(.error(.internalError("the call has no record")))
            return EndedCall()
        }
        switch request.method {
        case "tools/list":
            sink.finish(list(request, record))
        case "tools/call":
            // Hashing a text compares what its characters look like, which takes seconds for megabytes of accents.
            guard let name = request.name, name.utf8.count <= AuditRow.textLimit, let tool = record.virtualMCP.tools[name],
                let connector = directory.current.connectors[tool.connector]
            else {
                let name = request.name.map { AuditRow.bounded($0.utf8, to: 128) } ?? ""
                sink.finish(.error(MCPError(code: MCPError.Code.invalidParams, message: "Unknown tool: \(name)")))
                return EndedCall()
            }
            record.connector = connector
            record.tool = tool.original
            return next.call(tool.original == name ? request : request.replacingName(tool.original), in: context, sink: sink)
        case "subscriptions/listen":
            return listens.listen(request, slug: record.virtualMCP.slug, sink: sink)
        default:
            sink.finish(.error(.methodNotFound(request.method)))
        }
        return EndedCall()
    }

    /// One page holds all; a cursor can only come from somewhere else.
    private func list(_ request: MCPRequest, _ record: CallRecord) -> MCPOutcome {
        if let params = request.envelope.params {
            let cursor = try? JSONMembers.value(of: "cursor", object: params, in: request.message.readableBytesSpan)
            if cursor ?? nil != nil { return .error(.invalidParams("unknown cursor")) }
        }
        return .result(record.virtualMCP.toolsListResult)
    }
}
