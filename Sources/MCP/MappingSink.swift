public import NIOCore

/// Passes a call's messages on as they are, and its end through a function.
public final class MappingSink: MCPSink {
    private let sink: any MCPSink
    private let map: (consuming MCPOutcome) -> MCPOutcome

    public init(_ sink: any MCPSink, _ map: @escaping (consuming MCPOutcome) -> MCPOutcome) {
        self.sink = sink
        self.map = map
    }

    public func notification(_ message: ByteBuffer) -> Demand { sink.notification(message) }

    public func finish(_ outcome: consuming MCPOutcome) { sink.finish(map(outcome)) }
}
