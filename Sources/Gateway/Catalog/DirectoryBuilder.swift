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
            let merged = try merge(sources, slug)
            virtualMCPs[slug] = VirtualMCP(
                slug: slug, title: slug, connectors: members, tools: merged.tools, toolsListResult: merged.toolsListResult,
                serverInfo: Self.text([("name", .string(slug)), ("title", .string(slug)), ("version", .string(BerthVersion.current))]),
                capabilities: Self.text([("tools", ["listChanged": true])]), instructions: nil)
        }
        let grants = try await tokens.grants()
        let sound = grants.filter { PrincipalName.isNormal($0.value.principal) }
        if sound.count < grants.count {
            logger.error("tokens of principals whose names have other spellings open nothing", metadata: ["tokens": "\(grants.count - sound.count)"])
        }
        let images = try await self.connectors.imagesOfVersions()
        return Directory(
            grants: sound, virtualMCPs: virtualMCPs,
            connectors: Dictionary(
                uniqueKeysWithValues: records.compactMap { record in
                    guard var connector = record.connector else { return nil }
                    connector.images = Set(connector.images).union(images[record.name] ?? []).sorted()
                    return (record.name, connector)
                }),
            version: version)
    }

    /// A list that cannot be read leaves its virtual MCP without tools: the directory says who was revoked, and waits for nobody.
    private func merge(_ sources: [ToolMerge.Source], _ slug: String) throws -> ToolMerge.Merged {
        do {
            return try ToolMerge.merge(sources)
        } catch {
            logger.error("a virtual MCP's tools cannot be merged; it has none", metadata: ["virtual MCP": "\(slug)", "error": "\(error)"])
            return try ToolMerge.merge([])
        }
    }

    private static func text(_ members: [(String, JSONValue)]) -> ByteBuffer {
        ByteBuffer(bytes: JSONValue.object(JSONObject(members)).serialized())
    }
}
