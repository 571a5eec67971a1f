import ControlSurface
import Door
import JSONText
import Logging
import NIOCore
import NIOHTTP1
import Synchronization
import Wire

/// Carries addressed requests to the machine's door and the answers back, piece by piece. What the door says is the machine's word: the
/// token of the request is verified there, and nowhere before.
struct AddressedExchange: Sendable {
    /// Of a request's body; a door takes no more.
    static let bodyLimit = 16 << 20
    /// How often an app's request that reached no machine goes to another one.
    private static let tries = 3

    let requests: AddressedRequests
    let http: HTTPClient
    let logger: Logger

    /// On the exchange's loop.
    func carry(_ exchange: ServerExchange, to address: InternalAddress) {
        let (head, body, uri) = (exchange.head, exchange.body, exchange.uri)
        ExchangeWriter.answer(exchange) { [self] writer in
            let stage = Mutex(Stage.waiting)
            do {
                try await carry(head, body, uri, to: address, writer, stage)
            } catch let failure as MachineFailure {
                let answer = failure.answer(path: "/v1/berth/")
                await writer.reply(status: failure.status.rawValue, headers: answer.headers, body: answer.body)
            } catch is CancellationError {
                // Its client has gone, and hears nothing; or this orchestrator ends.
                let failure: MachineFailure
                switch stage.withLock({ $0 }) {
                case .waiting: failure = .goingDown
                case .sent: failure = Self.outcomeUnknown("this orchestrator ends")
                case .answered: return await writer.abandon()
                }
                let answer = failure.answer(path: "/v1/berth/")
                await writer.reply(status: failure.status.rawValue, headers: answer.headers, body: answer.body)
            } catch {
                logger.warning("an addressed request's answer was cut off", metadata: ["app": "\(address.app)", "error": "\(error)"])
                await writer.abandon()
            }
        }
    }

    /// How far a request has come.
    private enum Stage { case waiting, sent, answered }

    private func carry(
        _ head: HTTPRequestHead, _ body: ByteBuffer, _ uri: String, to address: InternalAddress, _ writer: ExchangeWriter,
        _ stage: borrowing Mutex<Stage>
    ) async throws {
        let wish = try InstanceWish(
            forced: head.headers[InstanceWish.forceHeader], preferred: head.headers[InstanceWish.preferHeader], at: address)
        var tried: Set<String> = []
        while true {
            let place = try await requests.place(address, wish, besides: tried)
            defer { requests.release(place) }
            guard let endpoint = Endpoint(door: place.door) else { throw Self.notDelivered("its door cannot be read") }
            let answer: HTTPClientResponse
            do {
                stage.withLock { $0 = .sent }
                answer = try await http.execute(
                    head.method.rawValue, uri, headers: Self.headers(head.headers, unavailable: place.unavailable), body: body, to: endpoint,
                    headTimeout: nil)
            } catch let failure as ExchangeFailure {
                guard failure.kind == .notSent else { throw Self.outcomeUnknown(failure.reason) }
                stage.withLock { $0 = .waiting }
                tried.insert(place.machine)
                guard case .app = address, wish.forced == nil, tried.count < Self.tries else { throw Self.notDelivered(failure.reason) }
                continue
            }
            if place.hasWaited, answer.status == 401 { return try await refusal(answer, from: place, writer) }
            stage.withLock { $0 = .answered }
            await writer.open(status: answer.status, headers: Self.headers(of: answer, from: place))
            for try await piece in answer.body { try await writer.write(piece) }
            return await writer.finish()
        }
    }

    /// A token for an app is good for no agent that began after it was signed: the sender is told to sign another one, not that it may not.
    private func refusal(_ answer: HTTPClientResponse, from place: AddressedRequests.Place, _ writer: ExchangeWriter) async throws {
        let body = try await answer.collect(upTo: 64 << 10)
        if (try? JSONValue(parsing: Array(buffer: body)))?["reason"]?.stringValue == HostedToken.Refusal.wrongBoot.rawValue {
            throw MachineSelection.refusal(
                "machine_woken", "machine \(place.machine) was started for this request, whose token is older than it; nothing was delivered",
                hint: "send it again with a new token", retry: 1)
        }
        await writer.reply(status: answer.status, headers: Self.headers(of: answer, from: place), body: body)
    }

    // MARK: Headers

    /// Of this hop, or ours, or about who may use it: none of a machine's business.
    private static let ownHeaders: Set<String> = [
        "authorization", "connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "cookie",
    ]

    /// What reaches the door. A client's word about what this proxy would say is dropped.
    static func headers(_ headers: HTTPHeaders, unavailable: String?) -> [(String, String)] {
        let named = Set(headers[canonicalForm: "connection"].map { $0.lowercased() })
        var kept = headers.filter { name, _ in
            let name = name.lowercased()
            return !ownHeaders.contains(name) && !named.contains(name) && !name.hasPrefix("fly-") && !name.hasPrefix("proxy-")
        }.map { ($0.name, $0.value) }
        if let unavailable { kept.append((InstanceWish.unavailableHeader, unavailable)) }
        return kept
    }

    /// What a machine may say of itself: no connector routes anybody elsewhere (`fly-replay`), and none sets cookies here.
    private static func headers(of answer: HTTPClientResponse, from place: AddressedRequests.Place) -> [(String, String)] {
        var headers = ["content-type", "cache-control", "retry-after", "x-accel-buffering"].compactMap { name in
            answer.headers[name].map { (name, $0) }
        }
        headers.append(("fly-request-id", RequestID.next()))
        headers.append(("x-berth-machine", place.machine))
        return headers
    }

    // MARK: Failures

    private static func notDelivered(_ why: String) -> MachineFailure {
        MachineFailure(.badGateway, "not_delivered", "the request reached no machine: \(why)", hint: "it may be sent again")
    }

    private static func outcomeUnknown(_ why: String) -> MachineFailure {
        MachineFailure(.badGateway, "outcome_unknown", "the machine did not answer, and may have done what was asked: \(why)")
    }
}
