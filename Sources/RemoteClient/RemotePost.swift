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
    /// A message beyond `RemoteServer.messageLimit` fails its own call; one beyond this, the stream that it is on.
    private static let answerLimit = 64 << 20

    var request: RemoteRequest
    let headers: [(String, String)]
    weak var sender: RemoteSender?
    var target: RemoteAddress?
    /// How often the server sent it elsewhere.
    var moves = 0

    private(set) var sessionID: String?
    /// How long its stream may stay open once its response has come.
    var lastWait: Scheduled<Void>?
    /// Takes the `endpoint` event of the 2024-11-05 transport.
    var onEndpoint: ((String) -> Void)?

    private var status = 0
    private var location: String?
    private var answer = BodyAccumulator()
    private var events = SSEReader(maxEventBytes: RemotePost.answerLimit)
    private var exchange: (any Exchange)?
    private var message: ((RemotePost, ByteBuffer) -> Demand)?
    private var end: ((RemotePost, End) -> Void)?

    /// - Parameters:
    ///   - message: one message of the answer.
    ///   - end: called once, unless it is cancelled.
    init(
        _ request: RemoteRequest, headers: [(String, String)], message: @escaping (RemotePost, ByteBuffer) -> Demand,
        end: @escaping (RemotePost, End) -> Void
    ) {
        self.request = request
        self.headers = headers
        self.message = message
        self.end = end
    }

    func started(_ exchange: any Exchange) { self.exchange = exchange }

    func cancel() {
        exchange?.cancel()
        forget()
    }

    func resume() { exchange?.resume() }

    /// Somebody else takes what comes from here on.
    func hand(message: @escaping (RemotePost, ByteBuffer) -> Demand, end: @escaping (RemotePost, End) -> Void) {
        self.message = message
        self.end = end
    }

    func received(head: ResponseHead) {
        status = head.status
        location = head.fields["location"]
        sessionID = head.fields["mcp-session-id"]
        let type = head.fields["content-type"]
        request.isStream = (200..<300).contains(status) && type?.lowercased().hasPrefix("text/event-stream") == true
        request.answerKind = "HTTP \(status)" + (type.map { " " + $0.prefix { $0 != ";" }.prefix(64) } ?? "")
    }

    func received(body piece: ByteBuffer) -> Bool {
        guard request.isStream else {
            let limit = (200..<300).contains(status) ? Self.answerLimit : Self.refusalLimit
            guard answer.readableBytes + piece.readableBytes <= limit else {
                giveUp("the server's answer is longer than \(limit) bytes")
                return true
            }
            answer.append(piece)
            return true
        }
        events.feed(piece)
        var demand = Demand.more
        do {
            while let event = try events.next() {
                request.place.hasEvents = true
                takePlace()
                guard event.data.readableBytes > 0 else { continue }
                if event.event == "endpoint" { onEndpoint?(String(buffer: event.data)) }
                guard event.event == "message" else { continue }
                if message?(self, event.data) == .pause { demand = .pause }
            }
        } catch {
            giveUp("the server's event stream cannot be read, or holds an event of more than \(Self.answerLimit) bytes")
        }
        takePlace()
        return demand == .more
    }

    /// An event without data says it too.
    private func takePlace() {
        if let id = events.lastEventID {
            request.place.hasEvents = true
            request.place.lastEventID = id.isEmpty ? nil : id
        }
        request.place.retryMilliseconds = events.reconnectionTime ?? request.place.retryMilliseconds
    }

    func ended() {
        guard (200..<300).contains(status) else {
            guard let location, let sender, RemoteSender.isMove(status, of: request.verb) else {
                return finish(.refused(status: status, body: answer.take()))
            }
            answer = BodyAccumulator()
            if let why = sender.move(self, status: status, to: location) { finish(.failed(why)) }
            return
        }
        if !request.isStream, answer.readableBytes > 0 { _ = message?(self, answer.take()) }
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
        lastWait?.cancel()
        lastWait = nil
        exchange = nil
        message = nil
        end = nil
        onEndpoint = nil
    }
}
