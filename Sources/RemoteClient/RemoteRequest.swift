import JSONText
import NIOCore

/// One request to a remote server and how far its answer has come, as a value.
struct RemoteRequest {
    let verb: String
    /// Of the message; the verb where there is none.
    let method: String
    /// Of the message; nil for everything but requests.
    let id: Int?
    let body: ByteBuffer?
    /// Its answer is an event stream.
    var isStream = false
    /// What kind of answer came, for one that is none of MCP: `HTTP 200 text/html`.
    var answerKind = ""
    /// Its response has come.
    var isAnswered = false
    /// It takes up the stream of a call that was delivered before.
    var isResumption = false
    var place = StreamPlace()

    init(_ verb: String, method: String? = nil, id: Int? = nil, body: ByteBuffer? = nil) {
        self.verb = verb
        self.method = method ?? verb
        self.id = id
        self.body = body
    }

    /// The id of a line that is a request.
    static func id(of line: ByteBuffer) -> Int? {
        guard let envelope = try? EnvelopeScanner.scan(line.readableBytesSpan), envelope.kind == .request else { return nil }
        return envelope.id.flatMap { Int(String(decoding: line.readableBytesSpan.copy($0), as: UTF8.self)) }
    }
}

/// How far an event stream was read: where it can be taken up again, and after how long.
struct StreamPlace {
    private static let shortestWait = 100
    private static let longestWait = 60_000

    var lastEventID: String?
    var retryMilliseconds: Int?
    /// Whether anything came on it, be it only where to take it up.
    var hasEvents = false
    /// Streams in a row that ended, of which only the first may have had events.
    private(set) var ends = 0

    /// Where its next stream begins.
    ///
    /// - Parameter isSteady: it was open for so long that it has not failed, even if nothing came.
    func ended(isSteady: Bool = false) -> StreamPlace {
        var next = StreamPlace(lastEventID: lastEventID, retryMilliseconds: retryMilliseconds)
        next.ends = (hasEvents || isSteady ? 0 : ends) + 1
        return next
    }

    /// Until the next one is opened: what the server asked for, and with `grows` twice that after each stream that ended in a row.
    func wait(grows: Bool) -> TimeAmount {
        let asked = min(max(retryMilliseconds ?? 1_000, Self.shortestWait), Self.longestWait)
        return .milliseconds(Int64(min(asked << (grows ? min(max(ends - 1, 0), 10) : 0), Self.longestWait)))
    }
}
