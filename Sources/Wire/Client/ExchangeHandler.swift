import NIOCore

/// Who takes the answer to one request. Called on the pool's loop, never before `request` returned; `ended` or `failed`
/// is called exactly once unless the exchange was cancelled.
public protocol ExchangeHandler: AnyObject {
    func received(head: ResponseHead)
    /// Some of the body. `false` pauses: nothing more comes until `resume()`, and the server feels it. A paused exchange is
    /// to be resumed or cancelled, also when the server has closed meanwhile.
    func received(body: ByteBuffer) -> Bool
    func ended()
    func failed(_ failure: ExchangeFailure)
}

/// A running request, as its caller holds it. Used on the pool's loop.
public protocol Exchange: AnyObject {
    /// Gives up: the connection is closed, which tells the server, and no callback follows. Idempotent.
    func cancel()
    /// The handler can take more after it answered `false`.
    func resume()
}

/// Why an exchange came to no answer. The two kinds are never confused: only the first is safe to repeat.
public struct ExchangeFailure: Error, Sendable, Equatable {
    public enum Kind: Sendable {
        /// The last byte of the request never reached the kernel, so no server has the whole of it.
        case notSent
        /// The request went out; the server may have acted on it.
        case afterSend
    }

    public var kind: Kind
    /// One line for a log.
    public var reason: String

    public init(_ kind: Kind, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }
}

/// What a pool must know of a request beside its bytes.
public struct ExchangeOptions {
    /// The answer to `HEAD` has no body.
    public var method: String
    /// Whether the request may be sent a second time when a reused connection turns out to be dead before any byte of
    /// an answer. What never went out as a whole is sent again in any case.
    public var retryable: Bool

    public init(method: String = "POST", retryable: Bool = false) {
        self.method = method
        self.retryable = retryable
    }
}
