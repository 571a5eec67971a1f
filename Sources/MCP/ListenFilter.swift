import JSONText
public import NIOCore

/// What a `subscriptions/listen` wants to hear of (revision 2026-07-28): `params.notifications`, or what was granted of it.
public struct ListenFilter: Equatable, Sendable {
    /// URIs in one filter at most.
    static let maximumURIs = 1_000

    public var tools = false
    public var prompts = false
    public var resources = false
    /// Resources whose updates are wanted, in the order given.
    public private(set) var uris: [String] = []
    private var known: Set<String> = []

    public init(tools: Bool = false, prompts: Bool = false, resources: Bool = false, uris: [String] = []) {
        (self.tools, self.prompts, self.resources, self.uris) = (tools, prompts, resources, uris)
        known = Set(uris)
    }

    /// Reads a filter; kinds that this process does not know are not granted.
    ///
    /// - Throws: `-32602` when it is no filter.
    public init(_ request: MCPRequest) throws(MCPError) { try self.init(of: request.envelope, request.message) }

    /// The same of any message that carries a filter.
    init(of envelope: Envelope, _ message: ByteBuffer) throws(MCPError) {
        guard let span = envelope.notifications else { throw .invalidParams("params.notifications must be an object") }
        let text = message.readableBytesSpan
        do {
            var members = JSONMembers(of: span)
            while let member = try members.next(in: text) {
                let isTrue = text.byte(member.value) == UInt8(ascii: "t")
                if member.hasKey("toolsListChanged", in: text) { tools = isTrue }
                if member.hasKey("promptsListChanged", in: text) { prompts = isTrue }
                if member.hasKey("resourcesListChanged", in: text) { resources = isTrue }
                guard member.hasKey("resourceSubscriptions", in: text) else { continue }
                guard text.byte(member.value) == UInt8(ascii: "[") else { throw MCPError.invalidParams("resourceSubscriptions must be an array") }
                var elements = JSONElements(of: member.value)
                while let element = try elements.next(in: text) {
                    guard let uri = JSONString.unquote(element, in: text), uris.count < Self.maximumURIs else {
                        throw MCPError.invalidParams("resourceSubscriptions must be at most \(Self.maximumURIs) strings")
                    }
                    if known.insert(uri).inserted { uris.append(uri) }
                }
            }
        } catch let error as MCPError {
            throw error
        } catch {
            throw .invalidParams("params.notifications cannot be read")
        }
    }

    /// The text of a filter object: what is granted, and nothing that is not.
    var object: JSONValue {
        var object = JSONObject()
        if tools { object["toolsListChanged"] = true }
        if prompts { object["promptsListChanged"] = true }
        if resources { object["resourcesListChanged"] = true }
        if !uris.isEmpty { object["resourceSubscriptions"] = .array(uris.map { .string($0) }) }
        return .object(object)
    }

    /// Whether a notification belongs here.
    func wants(_ method: String, uri: String?) -> Bool {
        switch method {
        case "notifications/tools/list_changed": tools
        case "notifications/prompts/list_changed": prompts
        case "notifications/resources/list_changed": resources
        case "notifications/resources/updated": uri.map(wantsUpdates) ?? false
        default: false
        }
    }

    /// The URI of an update may be that of a part of the resource that was subscribed to.
    private func wantsUpdates(of uri: String) -> Bool {
        if known.isEmpty { return false }
        if known.contains(uri) { return true }
        guard uri.utf8.count <= Self.longestOfPart else { return false }
        return uri.utf8.indices.lazy.filter { "/?#".utf8.contains(uri.utf8[$0]) }.prefix(Self.partDepth).contains { end in
            known.contains(String(uri[..<end])) || uri.utf8[end] == UInt8(ascii: "/") && known.contains(String(uri[...end]))
        }
    }

    /// Beyond that an update names a whole resource, or nobody hears of it: a server must not make us search for long.
    private static let longestOfPart = 1 << 10
    private static let partDepth = 64

    /// What both have, in the order of the other's URIs.
    func intersection(_ other: ListenFilter) -> ListenFilter {
        let own = Set(uris)
        return ListenFilter(
            tools: tools && other.tools, prompts: prompts && other.prompts, resources: resources && other.resources,
            uris: other.uris.filter(own.contains))
    }
}

extension ServerIdentity {
    /// What of a filter a server of the handshake revisions can serve.
    ///
    /// - Parameter isSessions: for a session of its own, which hears of a list that changes whether its server said that it would tell or
    ///   not, and when another process takes the server's place.
    func granting(_ wanted: ListenFilter, isSessions: Bool = false) -> ListenFilter {
        func changes(_ capability: StaticString) -> Bool { isSessions ? self.declares(capability) : declares(capability, "listChanged") }
        func declares(_ capability: StaticString, _ member: StaticString) -> Bool {
            let text = capabilities.readableBytesSpan
            let whole = JSONSpan(start: 0, end: capabilities.readableBytes)
            guard let object = try? JSONMembers.value(of: capability, object: whole, in: text), text.byte(object) == UInt8(ascii: "{"),
                let value = try? JSONMembers.value(of: member, object: object, in: text)
            else { return false }
            return text.byte(value) == UInt8(ascii: "t")
        }
        return ListenFilter(
            tools: wanted.tools && changes("tools"), prompts: wanted.prompts && changes("prompts"), resources: wanted.resources && changes("resources"),
            uris: declares("resources", "subscribe") ? wanted.uris : [])
    }
}

/// The messages of a subscription.
public enum Subscription {
    /// `notifications/subscriptions/acknowledged`, the first message of every subscription.
    ///
    /// - Parameter id: The id of the listen request, raw.
    public static func acknowledged(_ granted: ListenFilter, id: ByteBuffer) -> ByteBuffer {
        var params = ByteBuffer(string: #"{"notifications":"#)
        params.writeImmutableBuffer(granted.object.buffer)
        params.writeString(#","_meta":{"\#(MetaKey.subscriptionID)":"#)
        params.writeImmutableBuffer(id)
        params.writeStaticString("}}")
        return JSONRPC.notification("notifications/subscriptions/acknowledged", params: params)
    }

    /// A notification without parameters of its own.
    public static func notification(_ method: String, id: ByteBuffer) -> ByteBuffer {
        var params = ByteBuffer(string: #"{"_meta":{"\#(MetaKey.subscriptionID)":"#)
        params.writeImmutableBuffer(id)
        params.writeStaticString("}}")
        return JSONRPC.notification(method, params: params)
    }

    /// The result that ends one in order.
    static func ended(id: ByteBuffer) -> ByteBuffer {
        var result = ByteBuffer(string: #"{"resultType":"complete","_meta":{"\#(MetaKey.subscriptionID)":"#)
        result.writeImmutableBuffer(id)
        result.writeStaticString("}}")
        return result
    }

    /// The result that ends a subscription, under another hop's id.
    static func retagged(result: ByteBuffer, id: ByteBuffer) -> ByteBuffer {
        let text = result.readableBytesSpan
        let whole = JSONSpan(start: 0, end: result.readableBytes)
        guard let meta = try? JSONMembers.value(of: "_meta", object: whole, in: text),
            let span = try? JSONMembers.value(of: "io.modelcontextprotocol/subscriptionId", object: meta, in: text)
        else { return result }
        var splice = Splice()
        splice.replace(span, with: id.bytes)
        return result.applying(splice)
    }

    /// A notification with the id of the subscription that it belongs to, in place of another hop's where there is one.
    static func tagged(_ message: ByteBuffer, _ envelope: Envelope, id: ByteBuffer) -> ByteBuffer {
        var splice = Splice()
        let text = message.readableBytesSpan
        let member = (key: MetaKey.subscriptionID, value: id.bytes)
        if let span = envelope.subscriptionID {
            splice.replace(span, with: id.bytes)
        } else if let meta = envelope.meta {
            try? splice.editObject(meta, in: text, adding: [member])
        } else if let params = envelope.params {
            try? splice.editObject(params, in: text, adding: [("_meta", objectText([member]))])
        } else if let method = envelope.methodSpan {
            splice.insert(Array(#","params":{"_meta":"#.utf8) + objectText([member]) + [UInt8(ascii: "}")], at: method.end)
        }
        return message.applying(splice)
    }

    /// A notification without the id, for a client that knows no subscriptions.
    static func untagged(_ message: ByteBuffer, _ envelope: Envelope) -> ByteBuffer {
        guard envelope.subscriptionID != nil, let meta = envelope.meta, let params = envelope.params else { return message }
        var splice = Splice()
        let text = message.readableBytesSpan
        var others = false
        var members = JSONMembers(of: meta)
        while let member = try? members.next(in: text) {
            if member.keyString(in: text) != MetaKey.subscriptionID { others = true }
        }
        if others {
            try? splice.editObject(meta, in: text, removing: { $0.keyString(in: text) == MetaKey.subscriptionID })
        } else {
            try? splice.editObject(params, in: text, removing: { $0.hasKey("_meta", in: text) })
        }
        return message.applying(splice)
    }
}

extension MCPRequest {
    /// `subscriptions/listen` under an id, with what a caller declared.
    static func listen(_ filter: ListenFilter, id: ByteBuffer?, like original: MCPRequest) -> MCPRequest {
        var meta: [(key: String, value: [UInt8])] = [
            (MetaKey.protocolVersion, JSONString.quote(ProtocolVersion.modern)),
            (MetaKey.clientCapabilities, original.envelope.clientCapabilities.map(original.message.bytes) ?? Array("{}".utf8)),
        ]
        if let info = original.envelope.clientInfo { meta.append((MetaKey.clientInfo, original.message.bytes(info))) }
        var message = ByteBuffer(string: #"{"jsonrpc":"2.0","id":"#)
        message.writeBytes(id?.bytes ?? Array("null".utf8))
        message.writeStaticString(#","method":"subscriptions/listen","params":"#)
        message.writeBytes(objectText([("notifications", filter.object.serialized()), ("_meta", objectText(meta))]))
        message.writeStaticString("}")
        return (try? MCPRequest(message: message)) ?? original
    }
}
