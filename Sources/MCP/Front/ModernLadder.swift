import JSONText
import NIOCore

/// The checks on a modern request, in the order the revision's reference implementations use; the first that fails answers.
///
/// Before it: Origin and Host (the connection), well-formed JSON, one object (the scanner).
enum ModernLadder {
    /// Methods of the handshake revisions, which do not exist any more.
    private static let removed: Set<String> = ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"]

    /// - Parameter compareVersion: false for the tolerated legacy header; missing routing headers are tolerated with it.
    static func check(_ envelope: Envelope, _ request: FrontRequest, strictHeaders: Bool = true) -> MCPError? {
        guard envelope.kind == .request, let method = envelope.method else {
            return .invalidRequest("the body must be one request")
        }
        guard let version = envelope.protocolVersion else { return .invalidParams("_meta has no \(MetaKey.protocolVersion)") }
        guard envelope.clientCapabilities != nil else { return .invalidParams("_meta has no object \(MetaKey.clientCapabilities)") }
        if let mismatch = headerMismatch(envelope, method, version, request, strict: strictHeaders) {
            return MCPError(code: MCPError.Code.headerMismatch, message: "Header mismatch: \(mismatch)")
        }
        guard version == ProtocolVersion.modern else { return unsupported(version) }
        if removed.contains(method) || method.hasPrefix("notifications/") { return .methodNotFound(method) }
        return badParams(envelope, method)
    }

    static func unsupported(_ version: String) -> MCPError {
        let data: JSONValue = ["supported": [.string(ProtocolVersion.modern)], "requested": .string(version)]
        return MCPError(code: MCPError.Code.unsupportedProtocolVersion, message: "Unsupported protocol version", data: data.buffer)
    }

    private static func headerMismatch(_ envelope: Envelope, _ method: String, _ version: String, _ request: FrontRequest, strict: Bool) -> String? {
        if strict {
            guard let header = request.protocolVersion else { return "MCP-Protocol-Version is missing" }
            guard header == version else { return "MCP-Protocol-Version differs from the body's" }
        }
        if let header = request.mcpMethod {
            guard header == method else { return "Mcp-Method differs from the body's method" }
        } else if strict {
            return "Mcp-Method is missing"
        }
        guard let (field, value) = named(envelope, method), let value else { return nil }
        if let header = request.mcpName {
            guard HeaderValue.decode(header) == value else { return "Mcp-Name differs from the body's params.\(field)" }
        } else if strict {
            return "Mcp-Name is missing"
        }
        return nil
    }

    /// The member of `params` that `Mcp-Name` repeats, and its value.
    private static func named(_ envelope: Envelope, _ method: String) -> (field: String, value: String?)? {
        switch method {
        case "tools/call", "prompts/get": ("name", envelope.name)
        case "resources/read": ("uri", envelope.uri)
        case "tasks/get", "tasks/update", "tasks/cancel": ("taskId", envelope.taskID)
        default: nil
        }
    }

    /// What both eras ask of parameters that routing reads.
    static func badParams(_ envelope: Envelope, _ method: String) -> MCPError? {
        guard let (field, value) = named(envelope, method) else { return nil }
        return value == nil ? .invalidParams("params.\(field) must be a string") : nil
    }

    /// The status that goes with an error's code when the answer is not a stream.
    static func status(_ error: MCPError) -> Int {
        switch error.code {
        case MCPError.Code.parseError, MCPError.Code.invalidRequest, MCPError.Code.invalidParams, MCPError.Code.headerMismatch,
            MCPError.Code.missingClientCapability, MCPError.Code.unsupportedProtocolVersion:
            400
        case MCPError.Code.methodNotFound: 404
        default: 200
        }
    }
}
