import JSONText
import Logging
import MCP
import NIOCore

/// Builds the ``Directory`` from the rows; after every change, and at start.
struct DirectoryBuilder: Sendable {
    let connectors: ConnectorStore
    let tokens: TokenStore
    let logger: Logger

    func build(version: Int) async throws -> Directory {
        let records = try await self.connectors.connectors().filter { $0.state == .ready }
        let byName = Dictionary(uniqueKeysWithValues: records.map { ($0.name, $0) })
        var virtualMCPs: [String: VirtualMCP] = [:]
        for (slug, members, _) in try await self.connectors.virtualMCPs() {
            let sources = members.compactMap { name in
                byName[name]?.tools.map { ToolMerge.Source(connector: name, toolsListResult: $0) }
            }
            let merged = try ToolMerge.merge(sources)
            virtualMCPs[slug] = VirtualMCP(
                slug: slug, title: slug, connectors: members, tools: merged.tools, toolsListResult: merged.toolsListResult,
                serverInfo: Self.text([("name", .string(slug)), ("title", .string(slug)), ("version", .string(BerthVersion.current))]),
                capabilities: Self.text([("tools", ["listChanged": true])]), instructions: nil)
        }
        return Directory(
            grants: try await tokens.grants(), virtualMCPs: virtualMCPs,
            connectors: Dictionary(uniqueKeysWithValues: records.compactMap { record in record.connector.map { (record.name, $0) } }),
            version: version)
    }

    private static func text(_ members: [(String, JSONValue)]) -> ByteBuffer {
        ByteBuffer(bytes: JSONValue.object(JSONObject(members)).serialized())
    }
}
