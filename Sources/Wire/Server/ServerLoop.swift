import NIOCore
import NIOHTTP1
import Synchronization

/// What a server has on one loop: its delegate and its connections.
final class ServerLoop {
    let limits: ServerLimits
    let delegate: any ServerDelegate
    let shared: ServerShared
    private var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
    private var isDraining = false
    private var whenEmpty: [() -> Void] = []

    init(limits: ServerLimits, delegate: any ServerDelegate, shared: ServerShared) {
        self.limits = limits
        self.delegate = delegate
        self.shared = shared
    }

    /// Makes an accepted channel a connection, or tells it that there are too many.
    ///
    /// - Returns: False when there was no room, and none could be made on this loop.
    func accept(_ channel: any Channel) throws -> Bool {
        let address = shared.connections.key(of: channel.remoteAddress)
        guard enter(address) else {
            try channel.pipeline.syncOperations.addHandler(TooManyConnections())
            return false
        }
        channel.closeFuture.whenComplete { [shared] _ in shared.connections.leave(address) }
        if channel.localAddress?.ipAddress != nil {
            try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
        }
        var decoding = NIOHTTPDecoderLimitConfiguration()
        decoding.maxHeaderListSize = limits.http.headBytes
        decoding.maxHeaderFieldSize = limits.http.headBytes
        decoding.maxHeaderFieldCount = limits.http.fields
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: decoding)
        try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
        let connection = HTTPServerConnection(registry: self)
        connection.standing.address = address
        try channel.pipeline.syncOperations.addHandler(connection)
        return true
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

    // MARK: Making room

    private func enter(_ address: IPAddress?) -> Bool {
        switch shared.connections.enter(address) {
        case .entered: return true
        case .full: if !makeRoom() { return false }
        case .addressFull: if !makeRoom(from: address) { return false }
        }
        return shared.connections.enter(address, overLimit: true) == .entered
    }

    /// Closes those strangers' connections that have been without an answer longest, or else, when no loop has any, what is
    /// idle of those that are trusted; a few at a time, since looking for them takes a while.
    func makeRoom(from address: IPAddress? = nil) -> Bool {
        let present = connections.values.filter { address == nil || $0.standing.address == address }
        var leaving = present.filter(\.isStrangers)
        if leaving.isEmpty, address != nil || shared.strangers.load(ordering: .relaxed) == 0 { leaving = present.filter(\.isIdle) }
        leaving.sort { $0.standing.quietSince < $1.standing.quietSince }
        for connection in leaving.prefix(max(1, leaving.count / 64)) {
            connection.standing.isCondemned = true
            connection.countStranger()
            connection.cut()
        }
        return !leaving.isEmpty
    }

    /// Ends the connection that has not read what is written to it for longest.
    ///
    /// - Parameter payer: Only one of this payer's.
    /// - Parameter writer: Goes itself when there is no other.
    func condemn(payer: String?, for writer: HTTPServerConnection) {
        var longest = writer
        var hasRoom = false
        for connection in connections.values where payer == nil || connection.standing.output.payer == payer {
            guard connection.standing.output.bytes > 0 else { continue }
            let before = connection.standing.output.bytes
            connection.refreshOutput()
            if connection.standing.output.bytes < before { hasRoom = true }
            if connection.stalledSince < longest.stalledSince { longest = connection }
        }
        if !hasRoom { longest.condemn() }
    }

    private func reportIfEmpty() {
        guard isDraining, connections.isEmpty else { return }
        let callbacks = whenEmpty
        whenEmpty = []
        for callback in callbacks { callback() }
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
