/// What routing, policy and rewriting need to know of one JSON-RPC message, found without decoding its payload.
///
/// Spans are raw JSON text, quotes included; `String` members are unescaped.
public struct Envelope: Sendable, Equatable {
    public enum Kind: Sendable, Equatable { case request, notification, response, errorResponse }

    public var kind: Kind = .notification
    /// `nil` for notifications, and for error responses whose id is `null`.
    public var id: JSONSpan?
    public var method: String?
    public var methodSpan: JSONSpan?
    /// The `params` object.
    public var params: JSONSpan?
    public var result: JSONSpan?
    public var error: JSONSpan?

    /// `params.name`, where it is a string.
    public var name: String?
    public var nameSpan: JSONSpan?
    /// `params.uri`, where it is a string.
    public var uri: String?
    public var uriSpan: JSONSpan?
    /// `params.taskId`, where it is a string.
    public var taskID: String?
    /// `params.arguments`, of any type.
    public var arguments: JSONSpan?

    /// The `params._meta` object.
    public var meta: JSONSpan?
    /// `io.modelcontextprotocol/protocolVersion` of `_meta`.
    public var protocolVersion: String?
    /// `io.modelcontextprotocol/clientCapabilities` of `_meta`, where it is an object.
    public var clientCapabilities: JSONSpan?
    /// `io.modelcontextprotocol/clientInfo` of `_meta`, where it is an object.
    public var clientInfo: JSONSpan?
    /// `io.modelcontextprotocol/logLevel` of `_meta`.
    public var logLevel: String?
    /// `progressToken` of `_meta`: a string or an integer.
    public var progressToken: JSONSpan?
    /// `_meta` has a member in the modern revision's own name space, `io.modelcontextprotocol/`.
    public var hasReservedMeta = false
    /// `traceparent` of `_meta`, where it is a string.
    public var traceparent: JSONSpan?

    /// `io.modelcontextprotocol/subscriptionId` of `_meta`: a string or an integer.
    public var subscriptionID: JSONSpan?

    /// `params.requestState`, where it is a string.
    public var requestState: JSONSpan?
    /// `params.inputResponses`, where it is an object.
    public var inputResponses: JSONSpan?
    /// `params.notifications` (`subscriptions/listen`), where it is an object.
    public var notifications: JSONSpan?
    /// `params.requestId` (`notifications/cancelled`): a string or an integer.
    public var requestID: JSONSpan?
    /// `params.progressToken` (`notifications/progress`): a string or an integer.
    public var notificationProgressToken: JSONSpan?
    /// `params.level` (`logging/setLevel`, `notifications/message`).
    public var level: String?
    /// `params.protocolVersion` (`initialize`).
    public var initializeVersion: String?
    /// `params.capabilities` (`initialize`), where it is an object.
    public var initializeCapabilities: JSONSpan?
    /// `params.clientInfo` (`initialize`), where it is an object.
    public var initializeClientInfo: JSONSpan?

    public init() {}
}
