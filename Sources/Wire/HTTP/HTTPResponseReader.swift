import NIOCore

/// Reads the response to one request off a connection. Interim responses are skipped.
struct HTTPResponseReader: Sendable {
    enum Event: Sendable {
        case head(ResponseHead)
        case body(ByteBuffer)
        case end
    }

    private enum State: Sendable {
        case head
        case body
        case complete
    }

    /// More interim responses than this are somebody's mischief.
    private static let maximumInterim = 16

    private let limits: HTTPLimits
    private let method: String
    private var state = State.head
    private var scanner = HeadScanner()
    private var body = BodyDecoder(.none)
    private var input = ByteBuffer()
    private var interim = 0
    /// Whether any byte of an answer has come.
    private(set) var sawBytes = false
    /// Whether the connection may carry another exchange once the answer is complete.
    private(set) var isReusable = false

    init(method: String, limits: HTTPLimits) {
        self.method = method
        self.limits = limits
    }

    var isComplete: Bool {
        if case .complete = state { return true }
        return false
    }

    /// Bytes beyond what was handed out.
    var buffered: Int { input.readableBytes }

    mutating func feed(_ bytes: ByteBuffer) {
        sawBytes = true
        input.enqueue(bytes)
    }

    /// The next event, `nil` when more bytes are needed or the answer is complete.
    mutating func next() throws(HTTPError) -> Event? {
        while true {
            switch state {
            case .head:
                guard let bytes = try scanner.next(in: &input, limits: limits) else { return nil }
                let head = try ResponseHead(parsing: bytes, limits: limits)
                if head.status < 200 {
                    interim += 1
                    // 101 is an upgrade that nobody asked for.
                    guard head.status != 101, interim <= Self.maximumInterim else { throw .badStartLine }
                    continue
                }
                let framing = head.framing(requestMethod: method)
                isReusable = head.keepAlive && framing != .untilClose
                body = BodyDecoder(framing)
                state = .body
                return .head(head)
            case .body:
                switch try body.next(&input) {
                case .data(let data): return .body(data)
                case .end:
                    state = .complete
                    return .end
                case nil: return nil
                }
            case .complete:
                return nil
            }
        }
    }

    /// The server closed: `end` if that is how the body ends.
    mutating func inputEnded() throws(HTTPError) -> Event {
        guard case .body = state else { throw .truncated }
        _ = try body.inputEnded()
        state = .complete
        return .end
    }
}
