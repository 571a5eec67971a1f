import JSONText
import NIOCore

/// Towards a child that speaks the modern revision: the same dialect, with ids and tokens of this hop.
struct ModernBack {
    let identity: ServerIdentity
    let client: ClientIdentity

    /// The message for the child. What the revision requires of `_meta` is added where the request has not got it.
    func message(_ request: MCPRequest, id: Int) -> ByteBuffer {
        var splice = Splice()
        request.renumber(id: id, progressToken: id, in: &splice)
        var missing: [(key: String, value: [UInt8])] = []
        if request.envelope.protocolVersion == nil { missing.append((MetaKey.protocolVersion, JSONString.quote(ProtocolVersion.modern))) }
        if request.envelope.clientCapabilities == nil { missing.append((MetaKey.clientCapabilities, client.capabilities.bytes)) }
        if request.envelope.clientInfo == nil { missing.append((MetaKey.clientInfo, client.info.bytes)) }
        if !missing.isEmpty {
            let names = missing.map(\.key)
            request.rewriteMeta(removing: { names.contains($0) || $0 == SessionWords.mark }, adding: Splice.membersText(missing), in: &splice)
        } else if request.method == "subscriptions/listen" {
            request.rewriteMeta(removing: { $0 == SessionWords.mark }, adding: [], in: &splice)
        }
        return request.message.applying(splice, suffix: 1)
    }
}
