import MCP
import NIOCore
import Wire

/// One HTTP exchange with a remote server, whose answer is JSON or an event stream of messages. Confined to the pool's loop.
final class RemotePost: ExchangeHandler {
    enum End {
        case complete
        /// Not 2xx.
        case refused(status: Int, body: ByteBuffer)
        case failed(Undelivered)
    }

    private static let refusalLimit = 64 << 10
    private static let answerLimit = 64 << 20

    /// The request's id; nil for everything but requests.
    let id: Int?
    let method: String
    private(set) var sessionID: String?
    private(set) var isStream = false
    /// Where a stream can be taken up again, and after how long.
    private(set) var lastEventID: String?
    private(set) var retryMilliseconds: Int?
    /// Its response has come.
    var isAnswered = false
    private var status = 0
    private var body = BodyAccumulator()
    private var events = SSEReader(maxEventBytes: RemotePost.answerLimit)
    private var exchange: (any Exchange)?
    private var message: ((RemotePost, ByteBuffer) -> Demand)?
    private var end: ((RemotePost, End) -> Void)?

    /// - Parameters:
    ///   - message: one message of the answer.
    ///   - end: called once, unless it is cancelled.
    init(
        id: Int? = nil, method: String, message: @escaping (RemotePost, ByteBuffer) -> Demand, end: @escaping (RemotePost, End) -> Void
    ) {
        self.id = id
        self.method = method
        self.message = message
        self.end = end
    }

    func started(_ exchange: any Exchange) { self.exchange = exchange }

    func cancel() {
        exchange?.cancel()
        forget()
    }

    func resume() { exchange?.resume() }

    func received(head: ResponseHead) {
        status = head.status
        sessionID = head.fields["mcp-session-id"]
        isStream = (200..<300).contains(status) && head.fields["content-type"]?.hasPrefix("text/event-stream") == true
    }

    func received(body piece: ByteBuffer) -> Bool {
        guard isStream else {
            let limit = (200..<300).contains(status) ? Self.answerLimit : Self.refusalLimit
            guard body.readableBytes + piece.readableBytes <= limit else {
                giveUp("the server's answer is longer than \(limit) bytes")
                return true
            }
            body.append(piece)
            return true
        }
        events.feed(piece)
        var demand = Demand.more
        do {
            while let event = try events.next() {
                lastEventID = event.id ?? lastEventID
                retryMilliseconds = event.retry ?? retryMilliseconds
                guard event.data.readableBytes > 0, event.event == "message" else { continue }
                if message?(self, event.data) == .pause { demand = .pause }
            }
        } catch {
            giveUp("the server's event stream cannot be read")
        }
        return demand == .more
    }

    func ended() {
        guard (200..<300).contains(status) else { return finish(.refused(status: status, body: body.take())) }
        if !isStream, body.readableBytes > 0 { _ = message?(self, body.take()) }
        finish(.complete)
    }

    func failed(_ failure: ExchangeFailure) {
        let kind: Undelivered.Kind = failure.kind == .notSent ? .notDelivered : .outcomeUnknown
        finish(.failed(Undelivered(kind, failure.reason)))
    }

    private func giveUp(_ reason: String) {
        exchange?.cancel()
        finish(.failed(Undelivered(.outcomeUnknown, reason)))
    }

    private func finish(_ how: End) {
        let told = end
        forget()
        told?(self, how)
    }

    private func forget() {
        exchange = nil
        message = nil
        end = nil
    }
}
