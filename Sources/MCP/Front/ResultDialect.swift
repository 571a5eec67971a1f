import JSONText
import NIOCore

/// Results as the client's era writes them.
enum ResultDialect {
    private static let cacheable: Set<String> = [
        "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read", "server/discover",
    ]

    /// Adds what the modern revision requires and a service left out: `resultType`, cache hints on complete lists, the server's identity.
    ///
    /// - Parameters:
    ///   - declared: the capabilities that the client declared.
    ///   - serverInfo: asked only when the result does not name its server.
    /// - Throws: when the server asks for something else, or makes a task of a call for a client that would not know it.
    static func modern(
        _ result: ByteBuffer, method: String, declared: ByteBuffer?, serverInfo: () -> ByteBuffer?
    ) throws(MCPError) -> ByteBuffer {
        guard let found = Found(result) else { return result }
        if found.resultType == InputRequired.resultType, let refusal = InputRequired.refusal(of: result, by: ClientCapabilities(declared)) {
            throw refusal
        }
        if found.resultType == Tasks.resultType, !Tasks.isMethod(method), !Tasks.isDeclared(declared) { throw Tasks.undeclared }
        var adding: [(key: String, value: [UInt8])] = []
        if found.resultType == nil { adding.append(("resultType", JSONString.quote("complete"))) }
        if cacheable.contains(method), found.resultType == nil || found.resultType == "complete" {
            if !found.hasTTL { adding.append(("ttlMs", [UInt8(ascii: "0")])) }
            if !found.hasScope { adding.append(("cacheScope", JSONString.quote("private"))) }
        }
        var splice = Splice()
        let text = result.readableBytesSpan
        var naming: [(key: String, value: [UInt8])] = []
        if !found.namesServer, let info = serverInfo() { naming.append((MetaKey.serverInfo, info.bytes)) }
        if let meta = found.meta, !naming.isEmpty || found.isPending {
            try? splice.editObject(meta, in: text, removing: { $0.hasKey(PendingCall.mark, in: text) }, adding: naming)
        } else if found.meta == nil, !naming.isEmpty {
            adding.append(("_meta", objectText(naming)))
        }
        guard !adding.isEmpty || !splice.isEmpty else { return result }
        // The result is part of a scanned message, so walking it cannot fail half-way.
        try? splice.editObject(JSONSpan(start: 0, end: result.readableBytes), in: text, adding: adding)
        return result.applying(splice)
    }

    /// Removes what only the modern revision knows, and output that is no object, which no other may have.
    ///
    /// - Throws: when the server asks for input, which this client cannot be asked for.
    ///
    /// - Parameter found: what is in it; `nil` where it could not be walked.
    static func legacy(_ result: ByteBuffer, _ found: Found?, method: String) throws(MCPError) -> ByteBuffer {
        guard let found else { return result }
        if let type = found.resultType, type != "complete" {
            throw MCPError(code: MCPError.Code.internalError, message: "the server answered \"\(type)\", which needs a client of revision 2026-07-28")
        }
        let tools = method == "tools/list" ? found.tools : nil
        guard found.resultType != nil || found.hasTTL || found.hasScope || found.namesServer || found.hasOtherContent || tools != nil else {
            return result
        }
        var splice = Splice()
        let text = result.readableBytesSpan
        if let tools { hideOtherSchemas(tools, in: text, &splice) }
        if found.namesServer, !found.metaHasMore {
            try? splice.editObject(found.whole, in: text, removing: { isModernOnly($0, text) || $0.hasKey("_meta", in: text) })
        } else {
            try? splice.editObject(found.whole, in: text, removing: { isModernOnly($0, text) })
            if found.namesServer, let meta = found.meta {
                try? splice.editObject(meta, in: text, removing: { $0.hasKey("io.modelcontextprotocol/serverInfo", in: text) })
            }
        }
        return result.applying(splice)
    }

    private static func isModernOnly(_ member: JSONMember, _ text: RawSpan) -> Bool {
        member.hasKey("resultType", in: text) || member.hasKey("ttlMs", in: text) || member.hasKey("cacheScope", in: text)
            || isOtherContent(member, text)
    }

    private static func isOtherContent(_ member: JSONMember, _ text: RawSpan) -> Bool {
        member.hasKey("structuredContent", in: text) && text.byte(member.value) != UInt8(ascii: "{")
    }

    /// Takes away each tool's schema of an output that is no object.
    private static func hideOtherSchemas(_ tools: JSONSpan, in text: RawSpan, _ splice: inout Splice) {
        var elements = JSONElements(of: tools)
        while let tool = (try? elements.next(in: text)) ?? nil {
            guard text.byte(tool) == UInt8(ascii: "{"),
                let schema = (try? JSONMembers.value(of: "outputSchema", object: tool, in: text)) ?? nil
            else { continue }
            let type = text.byte(schema) == UInt8(ascii: "{") ? (try? JSONMembers.value(of: "type", object: schema, in: text)) ?? nil : nil
            if type.flatMap({ JSONString.unquote($0, in: text) }) == "object" { continue }
            try? splice.editObject(tool, in: text, removing: { $0.hasKey("outputSchema", in: text) })
        }
    }

    /// What one walk over a result's members finds.
    struct Found {
        fileprivate var whole: JSONSpan
        private(set) var resultType: String?
        fileprivate var hasTTL = false
        fileprivate var hasScope = false
        fileprivate var meta: JSONSpan?
        fileprivate var namesServer = false
        fileprivate var metaHasMore = false
        /// Between services of ours.
        fileprivate var isPending = false
        /// `structuredContent` that is no object.
        fileprivate var hasOtherContent = false
        fileprivate var tools: JSONSpan?

        init?(_ result: ByteBuffer) {
            whole = JSONSpan(start: 0, end: result.readableBytes)
            let text = result.readableBytesSpan
            do {
                var members = JSONMembers(of: whole)
                while let member = try members.next(in: text) {
                    if member.hasKey("resultType", in: text) {
                        resultType = JSONString.unquote(member.value, in: text) ?? ""
                    } else if member.hasKey("ttlMs", in: text) {
                        hasTTL = true
                    } else if member.hasKey("cacheScope", in: text) {
                        hasScope = true
                    } else if ResultDialect.isOtherContent(member, text) {
                        hasOtherContent = true
                    } else if member.hasKey("tools", in: text), text.byte(member.value) == UInt8(ascii: "[") {
                        tools = member.value
                    } else if member.hasKey("_meta", in: text), text.byte(member.value) == UInt8(ascii: "{") {
                        meta = member.value
                    }
                }
                guard let meta else { return }
                var inner = JSONMembers(of: meta)
                while let member = try inner.next(in: text) {
                    if member.hasKey("io.modelcontextprotocol/serverInfo", in: text) { namesServer = true } else { metaHasMore = true }
                    if member.hasKey(PendingCall.mark, in: text) { isPending = true }
                }
            } catch {
                return nil
            }
        }
    }
}
