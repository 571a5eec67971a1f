import NIOCore

extension HTTPServerConnection {
    /// What is being written.
    struct OutputState {
        var isChunked = false
        var isEvents = false
        var lastWrite = NIODeadline.now()
        var keepAlive: Scheduled<Void>?
        /// Bytes that waited for a client when it last was seen to make no progress.
        var stalledWith: Int?
        /// When it last was seen to make progress, while it reads more slowly than we write.
        var stalledSince: NIODeadline?

        mutating func endStream() {
            keepAlive?.cancel()
            keepAlive = nil
            isEvents = false
            isChunked = false
        }
    }

    /// Events and answers from this size on are sent beside their framing instead of being copied into it.
    private static let copyLimit = 16_384

    // MARK: - Whole answers

    func send(status: Int, headers: [(String, String)], body: ByteBuffer?) {
        guard let context else { return }
        let length = body?.readableBytes ?? 0
        let hasBody = status != 204 && status != 304
        let sent = hasBody && !request.isHead ? body : nil
        var head = makeHead(status, headers, room: min(length, Self.copyLimit)) { head in
            if hasBody { head.writeField("content-length", length) }
        }
        if let sent, length >= Self.copyLimit {
            context.write(wrapOutboundOut(head), promise: nil)
            context.writeAndFlush(wrapOutboundOut(sent), promise: nil)
        } else {
            if let sent { head.writeImmutableBuffer(sent) }
            context.writeAndFlush(wrapOutboundOut(head), promise: nil)
        }
        chargeOutput()
        exchangeEnded()
    }

    /// Answers without the delegate and ends the connection, since the rest of the request is not read.
    func refuse(_ status: Int, headers: [(String, String)] = [], body: ByteBuffer?) {
        guard let context else { return }
        request.keepAlive = false
        let head = makeHead(status, headers) { $0.writeField("content-length", body?.readableBytes ?? 0) }
        context.write(wrapOutboundOut(head), promise: nil)
        if let body, !request.isHead { context.write(wrapOutboundOut(body), promise: nil) }
        linger()
    }

    func refuse(_ status: Int, message: String) {
        // The messages are ours and hold nothing that JSON would have to escape.
        let body = ByteBuffer(string: "{\"error\":\"\(status == 413 ? "body_too_large" : "bad_request")\",\"message\":\"\(message)\"}")
        refuse(status, headers: [("content-type", "application/json")], body: body)
    }

    func writeContinue() {
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
    }

    // MARK: - Streams

    func openStream(status: Int, headers: [(String, String)], isEvents: Bool) {
        guard let context else { return }
        // A 1.0 client finds the end by the connection's.
        if request.minorVersion == 0 { request.keepAlive = false }
        output.isChunked = request.minorVersion > 0 && !request.isHead
        output.isEvents = isEvents
        let head = makeHead(status, headers) { head in
            if request.minorVersion > 0 { head.writeField("transfer-encoding", "chunked") }
        }
        context.writeAndFlush(wrapOutboundOut(head), promise: nil)
        output.lastWrite = .now()
        if isEvents { scheduleKeepAlive() }
    }

    func sendEvent(_ data: ByteBuffer, id: String?, name: String?) -> Bool {
        if data.readableBytes >= Self.copyLimit, SSE.isOneLine(data) {
            var start = ByteBuffer()
            SSE.writeFields(event: name, id: id, into: &start)
            start.writeStaticString("data: ")
            return sendPieces(start, data, ByteBuffer(staticString: "\n\n"))
        }
        var event = ByteBuffer()
        event.reserveCapacity(data.readableBytes + 64)
        SSE.write(data: data, event: name, id: id, into: &event)
        return sendPiece(event)
    }

    func sendPiece(_ piece: ByteBuffer) -> Bool {
        guard piece.readableBytes > 0 else { return context?.channel.isWritable ?? true }
        return sendPieces(piece)
    }

    func endStream() {
        guard let context else { return }
        if output.isChunked {
            var last = ByteBuffer()
            last.writeLastChunk()
            context.writeAndFlush(wrapOutboundOut(last), promise: nil)
        }
        exchangeEnded()
    }

    func cut() {
        context?.close(promise: nil)
    }

    /// Closes between requests: at once if everything is in the kernel.
    func closeIdle() {
        if pendingBytes ?? 0 == 0 { cut() } else { linger() }
    }

    /// One chunk out of several buffers, in one flush.
    private func sendPieces(_ pieces: ByteBuffer...) -> Bool {
        guard let context, !request.isHead else { return true }
        output.lastWrite = .now()
        let length = pieces.reduce(0) { $0 + $1.readableBytes }
        if output.isChunked {
            var start = ByteBuffer()
            start.writeChunkStart(length)
            if pieces.count == 1, length < Self.copyLimit {
                start.writeImmutableBuffer(pieces[0])
                start.writeStaticString("\r\n")
                context.writeAndFlush(wrapOutboundOut(start), promise: nil)
                chargeOutput()
                return context.channel.isWritable
            }
            context.write(wrapOutboundOut(start), promise: nil)
        }
        for piece in pieces { context.write(wrapOutboundOut(piece), promise: nil) }
        if output.isChunked { context.write(wrapOutboundOut(ByteBuffer(staticString: "\r\n")), promise: nil) }
        context.flush()
        chargeOutput()
        return context.channel.isWritable
    }

    private func scheduleKeepAlive() {
        guard let context else { return }
        output.keepAlive = context.eventLoop.assumeIsolated().scheduleTask(deadline: output.lastWrite + limits.keepAliveInterval) {
            self.keepStreamAlive()
        }
    }

    private func keepStreamAlive() {
        guard output.isEvents, let context else { return }
        // A client that does not read needs no proof that we live; the stall limit deals with it.
        if output.lastWrite + limits.keepAliveInterval <= .now() {
            if context.channel.isWritable {
                var comment = ByteBuffer()
                SSE.writeComment("keep-alive", into: &comment)
                _ = sendPiece(comment)
            } else {
                output.lastWrite = .now()
            }
        }
        scheduleKeepAlive()
    }

    // MARK: - Heads

    /// - Parameter room: for what is to follow in the same buffer.
    private func makeHead(_ status: Int, _ headers: [(String, String)], room: Int = 0, framing: (inout ByteBuffer) -> Void) -> ByteBuffer {
        var head = context?.channel.allocator.buffer(capacity: 256 + room) ?? ByteBuffer()
        head.writeStatusLine(status)
        for (name, value) in headers where !Self.isOurs(name) { head.writeField(name, value) }
        framing(&head)
        if !request.keepAlive || isDraining {
            head.writeField("connection", "close")
        } else if request.minorVersion == 0 {
            head.writeField("connection", "keep-alive")
        }
        head.writeHeadEnd()
        return head
    }

    /// Framing is this connection's business, whatever a delegate says.
    private static func isOurs(_ name: String) -> Bool {
        switch name.utf8.count {
        case 10: name.lowercased() == "connection"
        case 14: name.lowercased() == "content-length"
        case 17: name.lowercased() == "transfer-encoding"
        default: false
        }
    }

    // MARK: - Closing and waiting

    /// Sends what is written and the end, then reads on for a moment: closing with unread bytes would reset the
    /// connection, and the answer could be lost with it.
    func linger() {
        guard let context else { return }
        phase = .lingering
        countStranger()
        dropBody()
        output.endStream()
        context.flush()
        watchStall()
        let flushed = context.eventLoop.makePromise(of: Void.self)
        flushed.futureResult.assumeIsolated().whenComplete { _ in
            guard case .lingering = self.phase, let context = self.context else { return }
            self.clock.arm(.linger, after: .seconds(2), on: context.eventLoop)
        }
        context.close(mode: .output, promise: flushed)
    }

    /// The client reads more slowly than we write.
    func watchStall() {
        guard let context else { return }
        output.stalledWith = pendingBytes
        clock.arm(.stall, after: limits.stallTimeout, on: context.eventLoop)
    }

    var pendingBytes: Int? {
        context.flatMap { try? $0.channel.syncOptions?.getOption(.bufferedWritableBytes) }
    }

    /// A time limit passed.
    func expired(_ reason: ConnectionClock.Reason) {
        switch reason {
        case .body:
            refuse(408, message: "the body took too long")
        case .stall:
            if let before = output.stalledWith, let now = pendingBytes, now < before {
                output.stalledSince = .now()
                watchStall()
            } else {
                cut()
            }
        case .head, .idle:
            closeIdle()
        case .linger:
            cut()
        }
    }
}
