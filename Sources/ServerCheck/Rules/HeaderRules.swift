public import JSONText
import MCP
import NIOCore

/// `x-mcp-header` in a tool's schema: clients over HTTP must drop a tool that misuses it.
public enum HeaderRules {
    /// - Parameter tool: one element of a list of tools.
    public static func check(_ tool: JSONValue) -> [Finding] {
        guard let name = tool["name"]?.stringValue, let schema = tool["inputSchema"], isUsed(in: schema, depth: 0) else { return [] }
        let list = JSONValue.record(("tools", .array([tool])))
        guard ParameterHeaders.byTool(ByteBuffer(bytes: list.serialized())).isEmpty else { return [] }
        return [
            Finding(
                "tools.headers", .failure, "x-mcp-header is misused, and clients over HTTP drop the tool",
                remedy: "use it on string, integer and boolean properties reached by properties alone, with a name of its own for each", tool: name,
                pointer: "/inputSchema")
        ]
    }

    private static func isUsed(in value: JSONValue, depth: Int) -> Bool {
        guard depth < 64 else { return false }
        switch value {
        case .object(let object): return object.members.contains { $0.key == "x-mcp-header" || isUsed(in: $0.value, depth: depth + 1) }
        case .array(let values): return values.contains { isUsed(in: $0, depth: depth + 1) }
        default: return false
        }
    }
}
