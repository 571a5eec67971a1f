import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1
import Wire

/// Gives the requests of one listener to the router.
final class MachinesDelegate: ServerDelegate {
    static let bodyLimit = 1 << 20

    private let responder: RouterResponder<MachinesContext>
    private let access: MachinesAccess
    private let logger: Logger

    init(responder: RouterResponder<MachinesContext>, access: MachinesAccess, logger: Logger) {
        self.responder = responder
        self.access = access
        self.logger = logger
    }

    func admit(_ head: HTTPRequestHead, peer: ServerPeer) -> Admission {
        switch access.caller(head, peer: peer) {
        case .success(let caller):
            let isUpload = caller == .root && head.uri == "/v1/berth/uploads"
            return .accept(bodyLimit: isUpload ? Uploads.limit : Self.bodyLimit)
        case .failure(let failure):
            let answer = failure.answer(path: head.uri)
            return .refuse(status: failure.status.rawValue, headers: answer.headers, body: answer.body)
        }
    }

    func handle(_ exchange: ServerExchange) {
        guard case .success(let caller) = access.caller(exchange.head, peer: exchange.peer), let method = HTTPRequest.Method(exchange.method.rawValue)
        else { return exchange.reply(status: 400, headers: [], body: nil) }
        var fields = HTTPFields()
        for (name, value) in exchange.head.headers {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        let request = Request(
            head: HTTPRequest(method: method, scheme: "http", authority: exchange.header("host"), path: exchange.uri, headerFields: fields),
            body: RequestBody(buffer: exchange.body))
        let context = MachinesContext(source: .init(logger: logger, caller: caller))
        let writer = ExchangeWriter(exchange)
        let task = Task { [responder, logger] in
            do {
                try await writer.send(try await responder.respond(to: request, context: context))
            } catch is CancellationError {
                writer.cut()
            } catch {
                logger.warning("an answer was cut off", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
                writer.cut()
            }
        }
        exchange.onClientGone = { task.cancel() }
        exchange.onDrain = { task.cancel() }
    }
}

/// Writes a response from a task to an exchange on its loop.
final class ExchangeWriter: Sendable {
    private final class State {
        let exchange: ServerExchange
        var waiting: EventLoopPromise<Void>?
        init(_ exchange: ServerExchange) { self.exchange = exchange }
    }

    private let loop: any EventLoop
    private let state: NIOLoopBound<State>

    /// On the exchange's loop.
    init(_ exchange: ServerExchange) {
        loop = exchange.eventLoop
        state = NIOLoopBound(State(exchange), eventLoop: exchange.eventLoop)
    }

    func send(_ response: Response) async throws {
        let status = response.status.code
        let headers = response.headers.map { ($0.name.rawName, $0.value) }
        if response.body.contentLength != nil {
            let whole = Whole()
            try await response.body.write(whole)
            let body = whole.buffer
            try await loop.submit { [state] in state.value.exchange.reply(status: status, headers: headers, body: body) }.get()
        } else {
            try await loop.submit { [state] in state.value.exchange.openBody(status: status, headers: headers) }.get()
            try await response.body.write(Pieces(writer: self))
            try await loop.submit { [state] in state.value.exchange.closeStream() }.get()
        }
    }

    /// Nobody will finish this answer: what was sent is visibly incomplete.
    func cut() {
        loop.execute { [state] in
            state.value.exchange.abort()
            state.value.waiting?.fail(CancellationError())
            state.value.waiting = nil
        }
    }

    /// Returns when the client can take more.
    fileprivate func write(_ piece: ByteBuffer) async throws {
        try Task.checkCancellation()
        let written = loop.makePromise(of: Void.self)
        loop.execute { [state] in
            let exchange = state.value.exchange
            guard !exchange.isFinished else { return written.fail(CancellationError()) }
            if exchange.write(piece) { return written.succeed() }
            let state = state.value
            state.waiting = written
            exchange.onResume = {
                state.waiting?.succeed()
                state.waiting = nil
            }
        }
        try await withTaskCancellationHandler {
            try await written.futureResult.get()
        } onCancel: {
            cut()
        }
    }

    /// A body of known length.
    private final class Whole: ResponseBodyWriter {
        var buffer = ByteBuffer()
        func write(_ buffer: ByteBuffer) async throws { self.buffer.writeImmutableBuffer(buffer) }
        func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }

    /// A body that comes in pieces.
    private struct Pieces: ResponseBodyWriter {
        let writer: ExchangeWriter
        func write(_ buffer: ByteBuffer) async throws { try await writer.write(buffer) }
        func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }
}
