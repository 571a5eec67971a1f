import Door
import Logging
import MCP
import NIOCore
import Sealing
import Wire

/// The private hop: sends a call to the machine that ``Router`` pinned, with a token per attempt. The innermost service
/// of the ``Stack``.
final class Hop: MCPService {
    let eventLoop: any EventLoop
    let pool: ConnectionPool
    let doors: Doors
    let logger: Logger
    /// Bytes of one answer at most.
    let answerLimit: Int
    private var lastID = 0

    init(eventLoop: any EventLoop, pool: ConnectionPool, doors: Doors, answerLimit: Int, logger: Logger) {
        self.eventLoop = eventLoop
        self.pool = pool
        self.doors = doors
        self.answerLimit = answerLimit
        self.logger = logger
    }

    func call(_ request: MCPRequest, in context: CallContext, sink: any MCPSink) -> any MCPCall {
        guard let record = CallRecord.of(context), let entry = record.pin, let connector = record.connector else {
            sink.finish(.failed(Undelivered(.notDelivered, "the call has no machine")))
            return EndedCall()
        }
        let door: MachineDoor
        do {
            door = try doors.door(entry.address, app: connector.app)
        } catch {
            logger.error("cannot address a machine", metadata: ["machine": "\(entry.address.machine)", "error": "\(error)"])
            sink.finish(.failed(Undelivered(.notDelivered, "the machine cannot be addressed")))
            return EndedCall()
        }
        guard !door.isClosed(now: .now()) else {
            record.loss = .suspended
            // While it stands still they grow old; none of them may be the first to be used afterwards.
            pool.close(door.endpoint)
            sink.finish(.failed(Undelivered(.notDelivered, "the machine is suspended")))
            return EndedCall()
        }
        lastID += 1
        let call = HopCall(hop: self, door: door, request: request, id: lastID, context: context, record: record, sink: sink)
        call.start()
        return call
    }

    /// Tells a machine that a session is over, so that its child goes. Nobody waits for the answer: the machine's own
    /// idle limit does the same, later.
    func endSession(_ session: String, principal: String, at address: MachineAddress, app: String) {
        guard let door = try? doors.door(address, app: app),
            let head = try? door.head(.endSession(session), principal: principal, session: session, length: 0)
        else { return }
        let answer = DoorReply { _ in }
        answer.start(pool.request(to: door.endpoint, head: head.bytes, options: .init(method: "DELETE"), handler: answer))
    }
}

/// A whole, small answer of a door. Keeps itself alive until then.
final class DoorReply: ExchangeHandler {
    static let limit = 1 << 20

    private var completion: ((Result<(status: Int, body: ByteBuffer), ExchangeFailure>) -> Void)?
    private var exchange: (any Exchange)?
    private var status = 0
    private var body = BodyAccumulator()

    init(completion: @escaping (Result<(status: Int, body: ByteBuffer), ExchangeFailure>) -> Void) {
        self.completion = completion
    }

    func start(_ exchange: any Exchange) { self.exchange = exchange }

    func cancel() {
        exchange?.cancel()
        finish(.failure(ExchangeFailure(.afterSend, "cancelled")))
    }

    func received(head: ResponseHead) { status = head.status }

    func received(body piece: ByteBuffer) -> Bool {
        guard body.readableBytes + piece.readableBytes <= Self.limit else {
            exchange?.cancel()
            finish(.failure(ExchangeFailure(.afterSend, "the answer is too long")))
            return true
        }
        body.append(piece)
        return true
    }

    func ended() { finish(.success((status, body.take()))) }
    func failed(_ failure: ExchangeFailure) { finish(.failure(failure)) }

    private func finish(_ result: Result<(status: Int, body: ByteBuffer), ExchangeFailure>) {
        let waiting = completion
        completion = nil
        exchange = nil
        waiting?(result)
    }
}
