import NIOCore
import NIOHTTP1
import Synchronization

/// What a server has on one loop: its delegate and its connections.
final class ServerLoop {
    let limits: ServerLimits
    let delegate: any ServerDelegate
    private let total: ConnectionCount
    private var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
    private var isDraining = false
    private var whenEmpty: [() -> Void] = []

    init(limits: ServerLimits, delegate: any ServerDelegate, total: ConnectionCount) {
        self.limits = limits
        self.delegate = delegate
        self.total = total
    }

    /// Makes an accepted channel a connection, or tells it that there are too many.
    func accept(_ channel: any Channel) throws {
        guard total.enter(limit: limits.connections) else {
            try channel.pipeline.syncOperations.addHandler(TooManyConnections())
            return
        }
        channel.closeFuture.whenComplete { [total] _ in total.leave() }
        if channel.localAddress?.ipAddress != nil {
            try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
        }
        var decoding = NIOHTTPDecoderLimitConfiguration()
        decoding.maxHeaderListSize = limits.http.headBytes
        decoding.maxHeaderFieldSize = limits.http.headBytes
        decoding.maxHeaderFieldCount = limits.http.fields
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: decoding)
        try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
        try channel.pipeline.syncOperations.addHandler(HTTPServerConnection(registry: self))
    }

    func add(_ connection: HTTPServerConnection) {
        connections[ObjectIdentifier(connection)] = connection
        if isDraining { connection.drain() }
    }

    func remove(_ connection: HTTPServerConnection) {
        connections[ObjectIdentifier(connection)] = nil
        reportIfEmpty()
    }

    /// Ends idle connections and asks the others to end; `done` is called when none is left.
    func drain(_ done: @escaping () -> Void) {
        isDraining = true
        whenEmpty.append(done)
        for connection in Array(connections.values) { connection.drain() }
        reportIfEmpty()
    }

    /// Cuts what is left.
    func cut() {
        for connection in Array(connections.values) { connection.cut() }
    }

    private func reportIfEmpty() {
        guard isDraining, connections.isEmpty else { return }
        let callbacks = whenEmpty
        whenEmpty = []
        for callback in callbacks { callback() }
    }
}

/// Connections of a server over all its loops.
final class ConnectionCount: Sendable {
    private let count = Atomic<Int>(0)

    func enter(limit: Int) -> Bool {
        if count.wrappingAdd(1, ordering: .relaxed).newValue <= limit { return true }
        leave()
        return false
    }

    func leave() {
        count.wrappingSubtract(1, ordering: .relaxed)
    }
}

/// Answers 503 to a connection that is one too many, without reading from it.
private final class TooManyConnections: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {
        var answer = ByteBuffer()
        answer.writeStatusLine(503)
        answer.writeField("retry-after", 1)
        answer.writeField("content-length", 0)
        answer.writeField("connection", "close")
        answer.writeHeadEnd()
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(answer)).whenComplete { _ in channel.close(promise: nil) }
    }
}
