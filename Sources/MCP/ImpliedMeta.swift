import JSONText
import NIOCore

/// What every request of a handshake session implies, as the members of `params._meta` that say it in the modern dialect.
///
/// Made once for a session: a request is given it without being read again, and without being walked when a server of those
/// revisions is not to see it.
struct ImpliedMeta: Sendable, Equatable {
    /// Members with commas between them, up to the log level's value, which is not there yet.
    private let members: [UInt8]
    private let capabilities: JSONSpan
    private let clientInfo: JSONSpan?

    /// - Parameters: JSON object texts.
    init(capabilities: ByteBuffer, clientInfo: ByteBuffer?) {
        var text = Array(#""\#(MetaKey.protocolVersion)":"\#(ProtocolVersion.modern)","\#(MetaKey.clientCapabilities)":"#.utf8)
        self.capabilities = JSONSpan(start: text.count, end: text.count + capabilities.readableBytes)
        text += capabilities.readableBytesView
        if let clientInfo {
            text += #","\#(MetaKey.clientInfo)":"#.utf8
            self.clientInfo = JSONSpan(start: text.count, end: text.count + clientInfo.readableBytes)
            text += clientInfo.readableBytesView
        } else {
            self.clientInfo = nil
        }
        members = text + #","\#(MetaKey.logLevel)":"#.utf8
    }

    /// All members, with the level that the session is at.
    private func text(logLevel: String) -> [UInt8] {
        var text = members
        JSONString.append(logLevel, to: &text)
        return text
    }

    /// Whether a request with this in it can be read: it stands a level deeper there than where it was read.
    var isReadable: Bool {
        let request = MCPRequest(
            message: ByteBuffer(string: #"{"jsonrpc":"2.0","id":0,"method":"tools/list","params":{}}"#), method: "tools/list")
        return (try? EnvelopeScanner.scan(said(in: request, logLevel: "info").message.readableBytesSpan)) != nil
    }

    private static let opening = Array(#""_meta":{"#.utf8)

    /// The request with this said in it. Members of the modern dialect's own that its client sent are not its to say.
    func said(in request: MCPRequest, logLevel: String) -> MCPRequest {
        let envelope = request.envelope
        guard !envelope.hasReservedMeta, let object = envelope.meta ?? envelope.params else {
            return request.rewritingMeta(removing: { $0.hasPrefix(MetaKey.reservedPrefix) }, adding: text(logLevel: logLevel))
        }
        var inserted: [UInt8] = []
        inserted.reserveCapacity(members.count + 64)
        if envelope.meta == nil { inserted += Self.opening }
        let start = object.start + 1 + inserted.count
        inserted += members
        JSONString.append(logLevel, to: &inserted)
        let end = object.start + 1 + inserted.count
        if envelope.meta == nil { inserted.append(UInt8(ascii: "}")) }
        let text = request.message.readableBytesSpan
        if text.hasMembers(object) { inserted.append(UInt8(ascii: ",")) }

        var message = ByteBufferAllocator().buffer(capacity: text.byteCount + inserted.count)
        message.writeImmutableBuffer(request.message.slice(JSONSpan(start: 0, end: object.start + 1)))
        message.writeBytes(inserted)
        message.writeImmutableBuffer(request.message.slice(JSONSpan(start: object.start + 1, end: text.byteCount)))
        var said = envelope.inserting(inserted.count, at: object.start + 1)
        if envelope.meta == nil { said.meta = JSONSpan(start: start - 1, end: end + 1) }
        said.protocolVersion = ProtocolVersion.modern
        said.clientCapabilities = JSONSpan(start: start + capabilities.start, end: start + capabilities.end)
        said.clientInfo = clientInfo.map { JSONSpan(start: start + $0.start, end: start + $0.end) }
        said.logLevel = logLevel
        said.hasReservedMeta = true
        return MCPRequest(
            message: message, envelope: said, method: request.method,
            implied: JSONSpan(start: object.start + 1, end: object.start + 1 + inserted.count))
    }
}

extension RawSpan {
    /// Whether an object of a scanned text has a member.
    fileprivate func hasMembers(_ object: JSONSpan) -> Bool {
        var members = JSONMembers(of: object)
        return ((try? members.next(in: self)) ?? nil) != nil
    }
}
