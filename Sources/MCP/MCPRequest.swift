public import JSONText
public import NIOCore

/// One JSON-RPC request in the modern dialect: its bytes and what the scanner found in them.
///
/// Rewriting makes a new request by splicing; payloads are copied, never decoded.
public struct MCPRequest: Sendable {
    /// The whole message text.
    public let message: ByteBuffer
    public let envelope: Envelope
    public let method: String
    /// What stands in the message for a session and was not said by its client (`ImpliedMeta`): members, and a comma where others follow.
    let implied: JSONSpan?

    /// - Throws: `-32700`, `-32600` or `-32602`.
    public init(message: ByteBuffer) throws(MCPError) {
        do {
            try self.init(scanning: message, limits: ScanLimits())
        } catch {
            throw MCPError(error)
        }
    }

    /// A text of our own.
    init(message: ByteBuffer, method: String) {
        self.init(message: message, envelope: (try? EnvelopeScanner.scan(message.readableBytesSpan)) ?? Envelope(), method: method)
    }

    init(scanning message: ByteBuffer, limits: ScanLimits) throws(ScanError) {
        let envelope = try EnvelopeScanner.scan(message.readableBytesSpan, limits: limits)
        guard envelope.kind == .request, let method = envelope.method else { throw ScanError(.ambiguousKind, at: 0, id: envelope.id) }
        self.init(message: message, envelope: envelope, method: method)
    }

    init(message: ByteBuffer, envelope: Envelope, method: String, implied: JSONSpan? = nil) {
        self.message = message
        self.envelope = envelope
        self.method = method
        self.implied = implied
    }

    /// A request of our own, with id 0 and a complete `_meta` (members of `params["_meta"]` are kept).
    public init(method: String, params: JSONObject = JSONObject(), client: ClientIdentity = .berth) {
        var params = params
        var meta = params["_meta"]?.objectValue ?? JSONObject()
        meta[MetaKey.protocolVersion] = meta[MetaKey.protocolVersion] ?? .string(ProtocolVersion.modern)
        meta[MetaKey.clientCapabilities] = meta[MetaKey.clientCapabilities] ?? Self.object(client.capabilities)
        meta[MetaKey.clientInfo] = meta[MetaKey.clientInfo] ?? Self.object(client.info)
        params["_meta"] = .object(meta)
        let message = JSONRPC.request(id: 0, method, params: JSONValue.object(params).buffer)
        // What was just written scans; were it otherwise, an empty envelope makes every reader see a request without parameters.
        let envelope = (try? EnvelopeScanner.scan(message.readableBytesSpan)) ?? Envelope()
        self.init(message: message, envelope: envelope, method: method)
    }

    private static func object(_ text: ByteBuffer) -> JSONValue {
        (try? JSONValue(parsing: text.readableBytesSpan)) ?? [:]
    }

    /// `params.name`
    public var name: String? { envelope.name }
    /// `params.uri`
    public var uri: String? { envelope.uri }
    /// `params.arguments`, JSON text
    public var arguments: ByteBuffer? { envelope.arguments.map(message.slice) }
    /// The caller's id, raw JSON text
    public var id: ByteBuffer? { envelope.id.map(message.slice) }

    /// The text of `span`, sharing the message's storage.
    public func slice(_ span: JSONSpan) -> ByteBuffer { message.slice(span) }

    /// The same request for another tool or prompt; unchanged when it names none.
    public func replacingName(_ name: String) -> MCPRequest {
        guard let span = envelope.nameSpan else { return self }
        return spliced { $0.replace(span, with: JSONString.quote(name)) }
    }

    /// The same request for another resource; unchanged when it names none.
    public func replacingURI(_ uri: String) -> MCPRequest {
        guard let span = envelope.uriSpan else { return self }
        return spliced { $0.replace(span, with: JSONString.quote(uri)) }
    }

    /// The message under another hop's id. The progress token is replaced only where the request has one.
    public func renumbered(id: Int, progressToken: Int? = nil) -> ByteBuffer {
        var splice = Splice()
        renumber(id: id, progressToken: progressToken, in: &splice)
        return message.applying(splice)
    }

    func renumber(id: Int, progressToken: Int?, in splice: inout Splice) {
        if let span = envelope.id { splice.replace(span, with: Array(String(id).utf8)) }
        if let span = envelope.progressToken, let progressToken { splice.replace(span, with: Array(String(progressToken).utf8)) }
    }

    /// The same request with members of `params._meta` removed and added; `_meta` and `params` are made where they are missing.
    public func rewritingMeta(removing: (String) -> Bool = { _ in false }, adding: [(key: String, value: [UInt8])]) -> MCPRequest {
        spliced { rewriteMeta(removing: removing, adding: Splice.membersText(adding), in: &$0) }
    }

    /// - Parameter adding: the text of members, with commas between them.
    func rewritingMeta(removing: (String) -> Bool, adding: [UInt8]) -> MCPRequest {
        spliced { rewriteMeta(removing: removing, adding: adding, in: &$0) }
    }

    func rewriteMeta(removing: (String) -> Bool, adding: [UInt8], in splice: inout Splice) {
        let text = message.readableBytesSpan
        if let meta = envelope.meta {
            // The message was scanned, so walking it again cannot fail half-way.
            try? splice.editObject(meta, in: text, removing: { $0.keyString(in: text).map(removing) ?? false }, addingText: adding)
            return
        }
        guard !adding.isEmpty else { return }
        let meta = [UInt8(ascii: "{")] + adding + [UInt8(ascii: "}")]
        if let params = envelope.params {
            try? splice.editObject(params, in: text, adding: [("_meta", meta)])
        } else if let method = envelope.methodSpan {
            splice.insert(Array(#","params":{"_meta":"#.utf8) + meta + Array("}".utf8), at: method.end)
        }
    }

    func spliced(_ edit: (inout Splice) -> Void) -> MCPRequest {
        var splice = Splice()
        edit(&splice)
        let message = message.applying(splice)
        guard let envelope = try? EnvelopeScanner.scan(message.readableBytesSpan) else { return self }
        return MCPRequest(message: message, envelope: envelope, method: method)
    }
}

/// The text of an object from keys and JSON texts.
func objectText(_ members: [(key: String, value: [UInt8])]) -> [UInt8] {
    [UInt8(ascii: "{")] + Splice.membersText(members) + [UInt8(ascii: "}")]
}
