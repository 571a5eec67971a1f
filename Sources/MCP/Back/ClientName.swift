import JSONText
import NIOCore

/// Who the client of a request says it is, in `io.modelcontextprotocol/clientInfo`. Nobody proves it, and two clients may say the same:
/// it tells clients apart that do not pretend to be one.
struct ClientName: Hashable {
    private var name: String?
    private var version: String?

    /// - Parameter info: the text of `clientInfo`; nil for a client that says nothing.
    init(_ info: ByteBuffer?) {
        guard let info else { return }
        let text = info.readableBytesSpan
        func member(_ name: StaticString) -> String? {
            let span = try? JSONMembers.value(of: name, object: JSONSpan(start: 0, end: info.readableBytes), in: text)
            return span.flatMap { $0 }.flatMap { JSONString.unquote($0, in: text) }
        }
        guard text.byte(JSONSpan(start: 0, end: info.readableBytes)) == UInt8(ascii: "{") else { return }
        (name, version) = (member("name"), member("version"))
    }

    /// Whether these are all one client's.
    static func isOne(_ infos: [ByteBuffer?]) -> Bool {
        guard let first = infos.first, infos.contains(where: { $0 != first }) else { return true }
        return Set(infos.map(ClientName.init)).count == 1
    }
}
