import MCP
import NIOCore

/// A call that may be cancelled before it began.
final class RunningCall: Sendable {
    private let loop: any EventLoop
    private let state: NIOLoopBoundBox<(call: (any MCPCall)?, isCancelled: Bool)>

    init(_ loop: any EventLoop) {
        self.loop = loop
        state = NIOLoopBoundBox.makeBoxSendingValue((nil, false), eventLoop: loop)
    }

    /// On the loop.
    func start(_ begin: () -> any MCPCall) {
        let call = begin()
        if state.value.isCancelled { call.cancel() }
        state.value.call = call
    }

    func cancel() {
        loop.execute { [state] in
            state.value.isCancelled = true
            state.value.call?.cancel()
        }
    }
}

/// Hands an outcome to a task that waits for it.
final class WaitingSink: MCPSink {
    private let continuation: CheckedContinuation<MCPOutcome, Never>
    private let notified: (ByteBuffer) -> Void

    init(_ continuation: CheckedContinuation<MCPOutcome, Never>, _ notified: @escaping (ByteBuffer) -> Void) {
        self.continuation = continuation
        self.notified = notified
    }

    func notification(_ message: ByteBuffer) -> Demand {
        notified(message)
        return .more
    }

    func finish(_ outcome: consuming MCPOutcome) { continuation.resume(returning: outcome) }
}

/// A task that waits for a greeting, and may be cancelled before it began to.
final class GreetingWait: Sendable {
    typealias Outcome = Result<ServerConnection.Greeting, Undelivered>
    private let state: NIOLoopBoundBox<(continuation: CheckedContinuation<Outcome, Never>?, early: Outcome?)>

    init(_ loop: any EventLoop) { state = NIOLoopBoundBox.makeBoxSendingValue((nil, nil), eventLoop: loop) }

    /// On the loop, as is the other.
    func begin(_ continuation: CheckedContinuation<Outcome, Never>) {
        if let early = state.value.early { return continuation.resume(returning: early) }
        state.value.continuation = continuation
    }

    func end(_ outcome: Outcome) {
        if let continuation = state.value.continuation {
            state.value.continuation = nil
            continuation.resume(returning: outcome)
        } else if state.value.early == nil {
            state.value.early = outcome
        }
    }
}
