import JSONText
import NIOCore

/// A client's request id as a key: `1` and `"1"` are two ids, `"a"` and `"\u0061"` are one.
enum RequestKey: Hashable {
    case number(String)
    case string(String)

    init?(_ span: JSONSpan, in message: ByteBuffer) {
        let text = message.readableBytesSpan
        if text.byte(span) == UInt8(ascii: "\"") {
            guard let string = JSONString.unquote(span, in: text) else { return nil }
            self = .string(string)
        } else {
            self = .number(text.extracting(span.range).withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
        }
    }
}

/// What a front keeps of a legacy session while it holds something. The session itself is the host's.
struct LegacySession {
    /// The level of `logging/setLevel`. Before it, a server of the handshake revisions decides itself; we decide for `info`.
    var logLevel: String?
    /// Calls in flight by their number, with the client's id. Clients that pool a session reuse ids, so several may have one.
    private var calls: [Int: RequestKey] = [:]
    /// Number of the GET stream.
    private(set) var stream: Int?

    /// Resources of `resources/subscribe`, in order.
    var subscribed: [String] = []
    /// What feeds the GET stream.
    var listen: SessionListen?

    /// `resources/subscribe` and `resources/unsubscribe` that wait for the one under way; with an error they end unheard.
    var changes: [(MCPError?) -> Void] = []

    /// What its server asked outside of calls.
    var questions = SessionQuestions()

    var canListen = true

    var wantsToListen: Bool { canListen && (isHeard || !subscribed.isEmpty) }

    /// Its stream is there, or broke off so recently that its client may come back for what it misses.
    var isHeard: Bool { stream != nil || history.keeps(EventHistory.sessionStream) }

    static let defaultLogLevel = "info"

    /// What its streams sent, for a client that comes back.
    var history = EventHistory()

    /// Nothing is lost when this is forgotten.
    var isIdle: Bool {
        logLevel == nil && calls.isEmpty && stream == nil && subscribed.isEmpty && listen == nil && changes.isEmpty && history.isEmpty
            && questions.isEmpty
    }

    var isInUse: Bool { stream != nil || !calls.isEmpty }

    mutating func add(_ call: Int, key: RequestKey) { calls[call] = key }

    mutating func remove(_ call: Int) { calls[call] = nil }

    /// The call that a cancel means. With several under one id nobody knows, and cancelling another chat's call is worse than none.
    func cancelled(_ key: RequestKey) -> Int? {
        var found: Int?
        for (call, its) in calls where its == key {
            if found != nil { return nil }
            found = call
        }
        return found
    }

    var allCalls: [Int] { calls.keys.sorted() }

    /// The newest GET stream is the session's; answers the one it replaces.
    mutating func open(stream number: Int) -> Int? {
        defer { stream = number }
        return stream
    }

    mutating func close(stream number: Int) {
        if stream == number { stream = nil }
    }
}
