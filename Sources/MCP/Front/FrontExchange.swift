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
    /// - Parameter headers: every value of the header of that name, in order.
    public init?(method: String, body: ByteBuffer, headers: @escaping (String) -> [String]) {
        let verb: Verb =
            switch method {
            case "POST": .post
            case "GET": .get
            case "DELETE": .delete
            default: .other
            }
        self.init(verb: verb, body: body)
        self.headers = headers
        let accepted = headers("accept")
        accept = accepted.count < 2 ? accepted.first : accepted.joined(separator: ", ")
        guard Self.read("content-type", headers, &contentType), Self.read("mcp-protocol-version", headers, &protocolVersion),
            Self.read("mcp-session-id", headers, &sessionID), Self.read("mcp-method", headers, &mcpMethod),
            Self.read("mcp-name", headers, &mcpName), Self.read("last-event-id", headers, &lastEventID)
        else { return nil }
    }

    /// - Returns: False when the header is there with different values.
    private static func read(_ name: String, _ headers: (String) -> [String], _ field: inout String?) -> Bool {
        let values = headers(name)
        guard let first = values.first else { return true }
        field = first
        // Proxies join what comes twice.
        if values.count == 1, name == "mcp-protocol-version", first.utf8.contains(UInt8(ascii: ",")) {
            let copies = first.split(separator: ",").map { $0.trimmed() }
            if let one = copies.first, copies.allSatisfy({ $0 == one }) { field = String(one) }
        }
        return values.count == 1 || values.allSatisfy { $0 == first }
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
