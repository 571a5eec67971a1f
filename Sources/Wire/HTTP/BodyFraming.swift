import NIOCore

/// How the end of a body is found (RFC 9112 §6).
public enum BodyFraming: Sendable, Equatable {
    case none
    case length(Int)
    case chunked
    /// A response without either: until the server closes.
    case untilClose
}

/// Takes a body out of a byte stream. Data are slices of what came in, never copies.
public struct BodyDecoder: Sendable {
    /// What the stream held next.
    public enum Event: Sendable, Equatable {
        case data(ByteBuffer)
        case end
    }

    private enum State: Sendable {
        case length(remaining: Int)
        case chunked(ChunkedDecoder)
        case untilClose
        case finished
    }

    private var state: State
    private var budget: Int

    /// - Parameters:
    ///   - framing: How the body ends.
    ///   - limit: Bytes of data after which `bodyTooLarge` is thrown; a larger `Content-Length` throws at once.
    public init(_ framing: BodyFraming, limit: Int = .max) {
        budget = limit
        switch framing {
        case .none: state = .length(remaining: 0)
        case .length(let length): state = .length(remaining: length)
        case .chunked: state = .chunked(ChunkedDecoder())
        case .untilClose: state = .untilClose
        }
    }

    /// Takes the next event out of `input`; `nil` needs more bytes. After `end` the rest of `input` is the next message's.
    public mutating func next(_ input: inout ByteBuffer) throws(HTTPError) -> Event? {
        switch state {
        case .finished:
            return nil
        case .length(let remaining):
            guard remaining <= budget else { throw .bodyTooLarge }
            if remaining == 0 {
                state = .finished
                return .end
            }
            return try take(min(remaining, input.readableBytes), of: &input) { .length(remaining: remaining - $0) }
        case .untilClose:
            return try take(input.readableBytes, of: &input) { _ in .untilClose }
        case .chunked(var chunks):
            let step = try chunks.next(&input)
            // A size is refused when it is announced, not when it has arrived.
            guard chunks.announced <= budget else { throw .bodyTooLarge }
            switch step {
            case .none:
                state = .chunked(chunks)
                return nil
            case .end:
                state = .finished
                return .end
            case .data(let length):
                chunks.took(length)
                return try take(length, of: &input) { _ in .chunked(chunks) }
            }
        }
    }

    /// The peer closed: the end of a body that ends so, `truncated` for every other unfinished one.
    public mutating func inputEnded() throws(HTTPError) -> Event {
        guard case .untilClose = state else { throw .truncated }
        state = .finished
        return .end
    }

    private mutating func take(_ length: Int, of input: inout ByteBuffer, then next: (Int) -> State) throws(HTTPError) -> Event? {
        guard length > 0, let slice = input.readSlice(length: length) else { return nil }
        guard length <= budget else { throw .bodyTooLarge }
        budget -= length
        state = next(length)
        return .data(slice)
    }
}

/// Puts the pieces of a body together; a body that came in one piece is handed on without a copy.
public struct BodyAccumulator: Sendable {
    private var body = ByteBuffer()

    public init() {}

    public var readableBytes: Int { body.readableBytes }

    public mutating func append(_ piece: ByteBuffer) {
        if body.readableBytes == 0 {
            body = piece
        } else {
            body.writeImmutableBuffer(piece)
        }
    }

    /// The whole body; the accumulator is empty afterwards.
    public mutating func take() -> ByteBuffer {
        let whole = body
        body = ByteBuffer()
        return whole
    }
}
