import MCP
import NIOCore
import Sealing

/// Decides whether a principal may call a tool: denied unless something allows it.
final class AuthoriseService: MCPService {
    let eventLoop: any EventLoop
    private let directory: DirectorySlot
    private let next: any MCPService

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
        if let denial = AccessDecision.denial(record, directory.current, now: WallClock.milliseconds()) {
            record.denial = denial
            // As for a tool that is not there, so that nobody learns what he may not use.
            sink.finish(.error(MCPError(code: MCPError.Code.invalidParams, message: "Unknown tool: \(record.exposedTool ?? "")")))
            return EndedCall()
        }
        return next.call(request, in: context, sink: sink)
    }
}

/// The decision itself.
enum AccessDecision {
    /// Why not; nil when the call is allowed.
    static func denial(_ record: CallRecord, _ directory: Directory, now: Int64) -> String? {
        guard record.grant.isCurrent(at: now) else { return "the token has expired" }
        guard record.grant.scope == .virtualMCP(record.virtualMCP.slug) else { return "the token is not for this virtual MCP" }
        guard let virtualMCP = directory.virtualMCPs[record.virtualMCP.slug] else { return "the virtual MCP was removed" }
        guard let connector = record.connector?.name, virtualMCP.connectors.contains(connector) else {
            return "the connector is not part of the virtual MCP"
        }
        guard let exposed = record.exposedTool, let tool = virtualMCP.tools[exposed], tool.connector == connector, tool.original == record.tool else {
            return "the tool is not part of the virtual MCP"
        }
        return nil
    }
}
