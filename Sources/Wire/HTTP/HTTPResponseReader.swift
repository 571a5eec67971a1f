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
        case body(BodyDecoder)
        case complete
    }

    /// More interim responses than this are somebody's mischief.
    private static let maximumInterim = 16

    private let limits: HTTPLimits
    private let method: String
    private var state = State.head
    private var scanner = HeadScanner()
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
                guard input.readableBytes > 0, let length = try scanner.end(in: input, limits: limits) else { return nil }
                guard let bytes = input.readSlice(length: length) else { return nil }
                scanner.reset()
                let head = try ResponseHead(parsing: bytes, limits: limits)
                if head.status < 200 {
                    interim += 1
                    // 101 is an upgrade that nobody asked for.
                    guard head.status != 101, interim <= Self.maximumInterim else { throw .badStartLine }
                    continue
                }
                let framing = head.framing(requestMethod: method)
                isReusable = head.keepAlive && framing != .untilClose
                state = .body(BodyDecoder(framing))
                return .head(head)
            case .body(var decoder):
                switch try decoder.next(&input) {
                case .data(let data):
                    state = .body(decoder)
                    return .body(data)
                case .end:
                    state = .complete
                    return .end
                case nil:
                    state = .body(decoder)
                    return nil
                }
            case .complete:
                return nil
            }
        }
    }

    /// The server closed: `end` if that is how the body ends.
    mutating func inputEnded() throws(HTTPError) -> Event {
        guard case .body(var decoder) = state else { throw .truncated }
        _ = try decoder.inputEnded()
        state = .complete
        return .end
    }
}
