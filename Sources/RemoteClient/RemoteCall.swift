import MCP
import NIOCore

/// A call to a remote server, as its caller holds it.
final class RemoteCall: MCPCall {
    var id = CallID(0)
    let request: MCPRequest
    let sink: any MCPSink
    /// It was refused, or not taken, and is sent once more.
    var isRetried = false
    /// What is asked of the server before it is sent once more.
    var preparation: RemoteCall?
    /// Its caller can take no more for now.
    private(set) var isPaused = false
    /// Told once, when it goes out.
    var onDelivery: (() -> Void)?
    private weak var server: RemoteServer?

    init(_ request: MCPRequest, sink: any MCPSink, server: RemoteServer) {
        self.request = request
        self.sink = sink
        self.server = server
    }

    func cancel() { server?.cancel(self) }

    func resume() {
        isPaused = false
        server?.resumeAll()
    }

    func notify(_ message: ByteBuffer) -> Demand {
        let demand = sink.notification(message)
        isPaused = demand == .pause
        return demand
    }
}

/// Takes the answer to a request of our own.
final class OwnSink: MCPSink {
    private let finished: (MCPOutcome) -> Void

    init(_ finished: @escaping (MCPOutcome) -> Void) { self.finished = finished }

    func notification(_ message: ByteBuffer) -> Demand { .more }
    func finish(_ outcome: consuming MCPOutcome) { finished(outcome) }
}
