import ControlSurface
import Hummingbird
import Logging
import NIOHTTP1
import Wire

/// Gives the requests of one listener to the router.
final class MachinesDelegate: ServerDelegate {
    static let bodyLimit = 1 << 20

    private let responder: RouterResponder<MachinesContext>
    /// For requests to the machines themselves.
    private let addressed: AddressedExchange
    private let access: MachinesAccess
    /// Bytes of one upload.
    private let uploadLimit: Int
    private let logger: Logger

    init(responder: RouterResponder<MachinesContext>, addressed: AddressedExchange, access: MachinesAccess, uploadLimit: Int, logger: Logger) {
        self.responder = responder
        self.addressed = addressed
        self.access = access
        self.uploadLimit = uploadLimit
        self.logger = logger
    }

    func admit(_ head: HTTPRequestHead, peer: ServerPeer) -> Admission {
        switch access.caller(head, peer: peer) {
        case .success(let caller):
            if Self.address(head) != nil { return .accept(bodyLimit: AddressedExchange.bodyLimit) }
            let isUpload = caller == .root && head.uri == "/v1/berth/uploads"
            return .accept(bodyLimit: isUpload ? uploadLimit : Self.bodyLimit)
        case .failure(let failure):
            let answer = failure.answer(path: head.uri)
            return .refuse(status: failure.status.rawValue, headers: answer.headers, body: answer.body)
        }
    }

    private static func address(_ head: HTTPRequestHead) -> InternalAddress? { head.headers.first(name: "host").flatMap { InternalAddress(host: $0) } }

    func handle(_ exchange: ServerExchange) {
        if let address = Self.address(exchange.head) { return addressed.carry(exchange, to: address) }
        guard case .success(let caller) = access.caller(exchange.head, peer: exchange.peer),
            let request = Request(method: exchange.method.rawValue, target: exchange.uri, headers: exchange.head.headers, body: exchange.body)
        else { return exchange.reply(status: 400, headers: [], body: nil) }
        let context = MachinesContext(source: .init(logger: logger, caller: caller))
        ExchangeWriter.answer(exchange) { [responder, logger] writer in
            if let error = await writer.answer({ try await responder.respond(to: request, context: context) }) {
                logger.warning("an answer was cut off", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            }
        }
    }
}
