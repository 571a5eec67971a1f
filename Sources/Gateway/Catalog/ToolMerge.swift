import JSONText
import NIOCore
import Sealing

/// Merges the tool lists of a virtual MCP's connectors under names that are unique, fit every client and never depend
/// on who asks.
///
/// A name that only one connector has stays as it is. Where several have it, each of them gets `connector__name`. Above
/// 64 characters (Claude's and VS Code's limit) the end is replaced by a hash, the same every time.
enum ToolMerge {
    static let maximumNameLength = 64

    struct Source {
        var connector: String
        /// The server's own `tools/list` result.
        var toolsListResult: [UInt8]
    }

    struct Merged {
        var tools: [String: ExposedTool]
        var toolsListResult: ByteBuffer
    }

    static func merge(_ sources: [Source]) throws -> Merged {
        var listed: [(connector: String, name: String, tool: JSONValue)] = []
        var owners: [String: Set<String>] = [:]
        for source in sources {
            let result = try JSONValue(parsing: source.toolsListResult)
            guard let tools = result["tools"]?.arrayValue else { continue }
            for tool in tools {
                guard let name = tool["name"]?.stringValue, !name.isEmpty else { continue }
                listed.append((source.connector, name, tool))
                owners[name, default: []].insert(source.connector)
            }
        }

        var exposed: [String: ExposedTool] = [:]
        var merged: [JSONValue] = []
        for (connector, name, tool) in listed {
            let shared = (owners[name]?.count ?? 0) > 1
            let visible = try fitting(shared ? "\(connector)__\(name)" : name)
            // A server that lists one name twice, or a name made equal by the prefix: the first one stands.
            guard exposed[visible] == nil else { continue }
            exposed[visible] = ExposedTool(connector: connector, original: name)
            guard visible != name, var renamed = tool.objectValue else {
                merged.append(tool)
                continue
            }
            renamed["name"] = .string(visible)
            merged.append(.object(renamed))
        }
        let result = JSONValue.object(
            JSONObject([
                ("resultType", .string("complete")), ("tools", .array(merged)), ("ttlMs", .number("0")), ("cacheScope", .string("private")),
            ]))
        return Merged(tools: exposed, toolsListResult: ByteBuffer(bytes: result.serialized()))
    }

    private static func fitting(_ name: String) throws -> String {
        guard name.utf8.count > maximumNameLength else { return name }
        let hash = try SHA256.hex(name).prefix(8)
        // Cut by characters, so that a name never ends inside one.
        var head = ""
        for character in name {
            guard head.utf8.count + String(character).utf8.count <= maximumNameLength - 9 else { break }
            head.append(character)
        }
        return "\(head)_\(hash)"
    }
}
