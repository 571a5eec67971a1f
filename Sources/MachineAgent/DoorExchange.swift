import JSONText
import MCP
import NIOCore
import Wire

/// The answering half of one request at the door: JSON with a length, or an event stream in chunks.
final class DoorExchange: MCPSink {
    private let channel: any Channel
    private let keepAlive: Bool
    private let finished: (Bool) -> Void
    private var call: (any MCPCall)?
    private var streaming = false
    private var done = false
    /// The request's id as it was sent.
    var id: ByteBuffer?
    /// Told how an MCP call ended.
    var onOutcome: ((CallLog.State) -> Void)?

    init(channel: any Channel, keepAlive: Bool, finished: @escaping (Bool) -> Void) {
        self.channel = channel
        self.keepAlive = keepAlive
        self.finished = finished
    }

    // MARK: Plain answers

    func reply(_ status: Int, _ value: JSONValue) { reply(status, value.serialized()) }

    func reply(_ status: Int, error: String, _ message: String) { reply(status, Self.error(error, message)) }

    func reply(_ status: Int, _ body: [UInt8]) { write(Self.answer(status, body, keepAlive: keepAlive), last: true) }

    static func answer(_ status: Int, _ body: [UInt8], keepAlive: Bool) -> ByteBuffer {
        answer(status, ByteBuffer(bytes: body), keepAlive: keepAlive)
    }

    static func answer(_ status: Int, _ body: ByteBuffer, keepAlive: Bool) -> ByteBuffer {
        var answer = ByteBuffer()
        answer.reserveCapacity(body.readableBytes + 160)
        answer.writeStatusLine(status)
        answer.writeField("content-type", "application/json")
        answer.writeField("content-length", body.readableBytes)
        if !keepAlive { answer.writeField("connection", "close") }
        answer.writeHeadEnd()
        answer.writeImmutableBuffer(body)
        return answer
    }

    static func error(_ code: String, _ message: String) -> [UInt8] {
        JSONValue.object(JSONObject([("error", .string(code)), ("message", .string(message))])).serialized()
    }

    // MARK: MCP

    func started(_ call: any MCPCall) { if !done { self.call = call } }

    func resume() { call?.resume() }

    /// The caller closed the connection: that is how a call is cancelled here.
    func gone() {
        done = true
        let call = call
        self.call = nil
        call?.cancel()
    }

    func notification(_ message: ByteBuffer) -> Demand {
        if done { return .more }
        var out = ByteBuffer()
        if !streaming {
            streaming = true
            out.writeStatusLine(200)
            out.writeField("content-type", "text/event-stream")
            out.writeField("cache-control", "no-cache")
            out.writeField("transfer-encoding", "chunked")
            if !keepAlive { out.writeField("connection", "close") }
            out.writeHeadEnd()
        }
        Self.event(message, into: &out)
        write(out, last: false)
        return channel.isWritable ? .more : .pause
    }

    func finish(_ outcome: consuming MCPOutcome) {
        let answer: ByteBuffer
        let state: CallLog.State
        switch outcome {
        case .result(let result):
            answer = JSONRPC.response(id: id, result: result)
            state = .answered
        case .error(let error):
            answer = JSONRPC.error(id: id, error)
            state = .answered
        case .failed(let why):
            answer = JSONRPC.error(id: id, MCPError(why))
            state = why.kind == .notDelivered ? .notDelivered : done ? .cancelled : .failed
        }
        onOutcome?(state)
        onOutcome = nil
        if done { return }
        guard streaming else { return write(Self.answer(200, answer, keepAlive: keepAlive), last: true) }
        var out = ByteBuffer()
        Self.event(answer, into: &out)
        out.writeLastChunk()
        write(out, last: true)
    }

    private static func event(_ message: ByteBuffer, into out: inout ByteBuffer) {
        var event = ByteBuffer()
        SSE.write(data: message, into: &event)
        out.writeChunkStart(event.readableBytes)
        out.writeImmutableBuffer(event)
        out.writeString("\r\n")
    }

    private func write(_ bytes: ByteBuffer, last: Bool) {
        guard !done else { return }
        guard last else { return channel.writeAndFlush(bytes, promise: nil) }
        done = true
        call = nil
        if keepAlive {
            channel.writeAndFlush(bytes, promise: nil)
            finished(true)
        } else {
            let finished = NIOLoopBound(finished, eventLoop: channel.eventLoop)
            channel.writeAndFlush(bytes).whenComplete { _ in finished.value(false) }
        }
    }
}
