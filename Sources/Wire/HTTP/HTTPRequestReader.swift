import NIOCore

/// Reads requests off one connection, one at a time, for the private hop: the head first, the body only when told to,
/// so that a caller can refuse on the head. Bytes of a further request before `nextRequest()` are an error.
public struct HTTPRequestReader: Sendable {
    public enum Event: Sendable {
        case head(RequestHead)
        case body(ByteBuffer)
        case end
    }

    private enum State: Sendable {
        case head
        /// The head was handed out; the body waits for `startBody`.
        case waiting(BodyFraming)
        case body
        /// Whole; waits for `nextRequest`.
        case complete
    }

    private let limits: HTTPLimits
    private var state = State.head
    private var scanner = HeadScanner()
    private var body = BodyDecoder(.none)
    private var input = ByteBuffer()

    public init(limits: HTTPLimits = HTTPLimits()) {
        self.limits = limits
    }

    /// Bytes that arrived and were not handed out.
    public var buffered: Int { input.readableBytes }

    /// Nothing of a request has arrived: the connection may be closed without loss.
    public var isBetweenRequests: Bool {
        if case .head = state { return input.readableBytes == 0 }
        return false
    }

    public mutating func feed(_ bytes: ByteBuffer) {
        input.enqueue(bytes)
    }

    /// The next event. `nil` means: more bytes, `startBody(limit:)` or `nextRequest()` is needed. After an error the
    /// connection is to be closed.
    public mutating func next() throws(HTTPError) -> Event? {
        switch state {
        case .head:
            guard let bytes = try scanner.next(in: &input, limits: limits) else { return nil }
            let head = try RequestHead(parsing: bytes, limits: limits)
            state = .waiting(head.framing)
            return .head(head)
        case .waiting:
            return nil
        case .body:
            switch try body.next(&input) {
            case .data(let data): return .body(data)
            case .end:
                state = .complete
                return .end
            case nil: return nil
            }
        case .complete:
            if input.readableBytes > 0 { throw .pipelined }
            return nil
        }
    }

    /// Lets the body in, up to `limit` bytes; `next()` throws `bodyTooLarge` beyond it.
    public mutating func startBody(limit: Int) {
        guard case .waiting(let framing) = state else { return }
        body = BodyDecoder(framing, limit: limit)
        state = .body
    }

    /// The request was answered: a further one may come.
    public mutating func nextRequest() {
        if case .complete = state { state = .head }
    }
}
