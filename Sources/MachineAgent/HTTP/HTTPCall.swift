import JSONText
import MCP
import NIOCore

/// One call to the machine's HTTP server, from before the server is up to its end.
final class HTTPCall: MCPCall, MCPSink {
    let request: MCPRequest
    let context: CallContext
    private let onDelivery: (() -> Void)?
    private let sink: any MCPSink
    private var inner: (any MCPCall)?
    private var isFinished = false
    /// Told before the caller is, with what the caller will be told.
    var onEnd: ((HTTPCall, inout MCPOutcome) -> Void)?
    /// What it has been waited for with.
    private var timer: Scheduled<Void>?

    init(_ request: MCPRequest, in context: CallContext, sink: any MCPSink, onDelivery: (() -> Void)?) {
        self.request = request
        self.context = context
        self.sink = sink
        self.onDelivery = onDelivery
    }

    /// A subscriber waits for nothing in particular.
    var isListen: Bool { request.method == "subscriptions/listen" }

    func deliver(by send: (MCPRequest, CallContext, any MCPSink, (() -> Void)?) -> any MCPCall) {
        if isFinished { return }
        let call = send(request, context, self, onDelivery)
        inner = isFinished ? nil : call
    }

    /// Gives it up when it takes longer.
    func limit(to deadline: NIODeadline, on loop: any EventLoop) {
        if isFinished { return }
        timer = loop.assumeIsolated().scheduleTask(deadline: deadline) { self.cancel() }
    }

    func cancel() { if let inner { inner.cancel() } else { fail(Undelivered(.notDelivered, "cancelled")) } }
    func resume() { inner?.resume() }
    func fail(_ why: Undelivered) { finish(.failed(why)) }

    func notification(_ message: ByteBuffer) -> Demand { isFinished ? .more : sink.notification(message) }

    func finish(_ outcome: consuming MCPOutcome) {
        guard !isFinished else { return }
        isFinished = true
        inner = nil
        // The client that we are speaks the protocol alone, in which what did not come back is an error.
        if case .error(let error) = outcome, let why = Self.undelivered(error) { outcome = .failed(why) }
        onEnd?(self, &outcome)
        onEnd = nil
        timer?.cancel()
        sink.finish(outcome)
    }

    private static func undelivered(_ error: MCPError) -> Undelivered? {
        let kind: Undelivered.Kind
        switch error.code {
        case MCPError.Code.notDelivered: kind = .notDelivered
        case MCPError.Code.outcomeUnknown: kind = .outcomeUnknown
        default: return nil
        }
        let said = error.data.flatMap { try? JSONValue(parsing: $0.readableBytesSpan) }?["error"]?.stringValue
        return said == kind.rawValue ? Undelivered(kind, error.message) : nil
    }
}
