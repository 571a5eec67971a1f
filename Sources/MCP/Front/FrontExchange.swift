public import NIOCore

/// One HTTP request at an MCP endpoint, as a front needs it. Header values are trimmed; repeated identical copies of a
/// header have been collapsed, differing ones refused by the connection.
public struct FrontRequest {
    public enum Verb: Sendable, Equatable { case post, get, delete, other }
    public var verb: Verb
    public var accept: String?
    public var contentType: String?
    /// `MCP-Protocol-Version`
    public var protocolVersion: String?
    /// `Mcp-Session-Id`
    public var sessionID: String?
    /// `Mcp-Method`
    public var mcpMethod: String?
    /// `Mcp-Name`
    public var mcpName: String?
    public var lastEventID: String?
    /// Every value of any other header.
    public var headers: (String) -> [String] = { _ in [] }
    /// The whole body, bounded by the connection.
    public var body: ByteBuffer

    public init(verb: Verb, body: ByteBuffer = ByteBuffer()) {
        self.verb = verb
        self.body = body
    }

    /// Reads the headers that MCP knows; nil when one is there twice with different values. Copies of one value count
    /// as one; `Accept` is a list and may come in parts.
    ///
    /// - Parameters:
    ///   - fields: all headers, in order.
    ///   - headers: every value of the header of that name, in order.
    public init?(
        method: String, body: ByteBuffer, fields: some Sequence<(name: String, value: String)>, headers: @escaping (String) -> [String]
    ) {
        let verb: Verb =
            switch method {
            case "POST": .post
            case "GET": .get
            case "DELETE": .delete
            default: .other
            }
        self.init(verb: verb, body: body)
        self.headers = headers
        for (name, value) in fields {
            let isOneValue =
                switch name.utf8.count {
                case 6 where name.isNamed("accept"): Self.join(value, to: &accept)
                case 8 where name.isNamed("mcp-name"): Self.read(value, into: &mcpName)
                case 10 where name.isNamed("mcp-method"): Self.read(value, into: &mcpMethod)
                case 12 where name.isNamed("content-type"): Self.read(value, into: &contentType)
                case 13 where name.isNamed("last-event-id"): Self.read(value, into: &lastEventID)
                case 14 where name.isNamed("mcp-session-id"): Self.read(value, into: &sessionID)
                case 20 where name.isNamed("mcp-protocol-version"): Self.read(Self.one(of: value), into: &protocolVersion)
                default: true
                }
            if !isOneValue { return nil }
        }
    }

    /// - Returns: False when the header was there before, with another value.
    private static func read(_ value: String, into field: inout String?) -> Bool {
        defer { field = value }
        return field == nil || field == value
    }

    private static func join(_ value: String, to field: inout String?) -> Bool {
        field = field.map { $0 + ", " + value } ?? value
        return true
    }

    /// Proxies join what comes twice.
    private static func one(of value: String) -> String {
        guard value.utf8.contains(UInt8(ascii: ",")) else { return value }
        let copies = value.split(separator: ",").map { $0.trimmed() }
        guard let one = copies.first, copies.allSatisfy({ $0 == one }) else { return value }
        return String(one)
    }
}

extension String {
    /// Whether a header's name is `lowercase`, in any letter case.
    fileprivate func isNamed(_ lowercase: StaticString) -> Bool {
        let expected = UnsafeBufferPointer(start: lowercase.utf8Start, count: lowercase.utf8CodeUnitCount)
        return utf8.withContiguousStorageIfAvailable { bytes in
            guard bytes.count == expected.count else { return false }
            for index in bytes.indices {
                let byte = bytes[index]
                if (byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte) != expected[index] { return false }
            }
            return true
        } ?? (lowercased() == lowercase.description)
    }
}

/// The answering half of that HTTP exchange: the gateway's `PublicExchange` and the bridge's `BridgeExchange` implement
/// it. Loop-confined. After `reply` or `closeStream` every further call is ignored.
public protocol FrontExchange: AnyObject {
    /// A complete answer. `body == nil` sends `Content-Length: 0`.
    func reply(status: Int, headers: [(String, String)], body: ByteBuffer?)
    /// Opens `text/event-stream` (status 200) and flushes the head at once. Which headers a stream needs beside its type
    /// (no caching, no buffering) is the exchange's knowledge.
    func openStream()
    /// One `message` event; opens the stream if it is not open yet.
    func event(_ data: ByteBuffer, id: String?) -> Demand
    /// Its client could come back for what it missed, by the ids of events.
    var isResumable: Bool { get }
    /// An event without a message, whose id a client can resume after and which says how soon it may try; opens the stream first.
    func prime(id: String)
    /// The `endpoint` event of 2024-11-05, which says where to post; opens the stream first.
    func endpoint(_ uri: String)
    /// Ends the stream in order.
    func closeStream()
    /// Called once when the client went away before the answer's end.
    var onClientGone: (() -> Void)? { get set }
    /// Called when a paused client can take more.
    var onResume: (() -> Void)? { get set }
}

extension FrontExchange {
    public var isResumable: Bool { true }
}
