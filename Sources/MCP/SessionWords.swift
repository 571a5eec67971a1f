import JSONText
import NIOCore

/// What passes between a front and a server of the handshake revisions that is one session's own, and is no call: what it says by itself,
/// what it asks outside of calls, and what its client says by itself. All of it is between services of ours: clients and servers that
/// use these words are refused.
enum SessionWords {
    static let prefix = "berth/"
    /// In the `_meta` of a `subscriptions/listen`: everything that the server says outside of calls is wanted.
    static let mark = "berth/session"
    /// To such a subscription: the client is to be asked.
    static let asked = "berth/asked"
    /// To such a subscription: the server does not wait for that answer any more.
    static let withdrawn = "berth/withdrawn"
    /// A request with the answer.
    static let answer = "berth/answer"
    /// A request: `notifications/roots/list_changed` of the client.
    static let rootsChanged = "berth/rootsChanged"

    static let rootsNotification = "notifications/roots/list_changed"
    /// Among the answers of a round: questions that stay with the client though their call is over, with the handles under which their
    /// answers will come.
    static let keep = "berth/keep"

    /// The name of the one answer.
    static let key = "answer"

    /// The client is to be asked `request`; its answer comes under `handle`.
    static func asking(_ request: InputRequest, handle: String) -> ByteBuffer {
        let required = InputRequired(requests: [request], state: ByteBuffer(bytes: JSONString.quote(handle)))
        return JSONRPC.notification(asked, params: required.result)
    }

    static func withdrawing(handle: String) -> ByteBuffer {
        JSONRPC.notification(withdrawn, params: JSONValue.object(["requestState": .string(handle)]).buffer)
    }

    /// The request that brings the answer: a result, or `InputResponse`'s form of an error.
    static func answering(_ response: ByteBuffer, handle: String) -> MCPRequest {
        let value = (try? JSONValue(parsing: response.readableBytesSpan)) ?? [:]
        return MCPRequest(method: answer, params: ["requestState": .string(handle), "inputResponses": [key: value]])
    }

    /// Whether a subscription wants to hear everything.
    static func isMarked(_ request: MCPRequest) -> Bool {
        guard let meta = request.envelope.meta else { return false }
        let text = request.message.readableBytesSpan
        return ((try? JSONMembers.value(of: "berth/session", object: meta, in: text)) ?? nil) != nil
    }
}

extension MCPRequest {
    /// It is no client's call, but something between services of ours: nothing is started for it.
    public var isOwn: Bool { isWait || method.hasPrefix(SessionWords.prefix) }
}

/// A sink for what nobody waits for.
final class NoSink: MCPSink {
    func notification(_ message: ByteBuffer) -> Demand { .more }
    func finish(_ outcome: consuming MCPOutcome) {}
}
