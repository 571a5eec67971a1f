import FoundationEssentials
import NIOCore
import Wire

extension MachinesClient {
    private static let answerLimit = 64 << 20

    func send(_ method: String, _ path: String, _ body: some Encodable & Sendable, seconds: Int64 = 60) async throws -> ByteBuffer {
        let bytes = try JSONEncoder().encode(body)
        return try await send(method, path, bytes: ByteBuffer(bytes: bytes), seconds: seconds)
    }

    func send(
        _ method: String, _ path: String, bytes: ByteBuffer? = nil, seconds: Int64 = 60,
        retryable: Bool = false
    ) async throws -> ByteBuffer {
        let response = try await open(method, path, bytes: bytes, seconds: seconds, retryable: retryable)
        do {
            return try await response.collect(upTo: Self.answerLimit)
        } catch let failure as ExchangeFailure {
            throw Self.brokenOff(failure)
        }
    }

    /// The orchestrator ended in the middle of its answer.
    static func brokenOff(_ failure: ExchangeFailure) -> MachineAPIError {
        MachineAPIError(status: 0, code: "outcome_unknown", message: "the orchestrator's answer broke off: \(failure.reason)")
    }

    /// Sends a request and answers when the head is there and says success.
    func open(
        _ method: String, _ path: String, bytes: ByteBuffer? = nil, seconds: Int64?, retryable: Bool = false
    ) async throws -> HTTPClientResponse {
        var headers: [(String, String)] = [("accept", "application/json")]
        if bytes != nil { headers.append(("content-type", "application/json")) }
        if let token { headers.append(("authorization", "Bearer \(token)")) }
        let response: HTTPClientResponse
        do {
            response = try await http.execute(
                method, path, headers: headers, body: bytes, to: endpoint, headTimeout: seconds.map { .seconds($0) }, retryable: retryable)
        } catch let failure as ExchangeFailure {
            let code = failure.kind == .notSent ? "unreachable" : "outcome_unknown"
            throw MachineAPIError(status: 0, code: code, message: "the orchestrator does not answer: \(failure.reason)")
        } catch HTTPClientError.timeout(let seconds) {
            throw MachineAPIError(status: 0, code: "outcome_unknown", message: "the orchestrator did not answer within \(seconds) s")
        }
        guard (200..<300).contains(response.status) else {
            let body = try? await response.collect(upTo: 1 << 20)
            throw Self.error(response.status, body ?? ByteBuffer(), retryAfter: response.headers["retry-after"].flatMap { Int($0) })
        }
        return response
    }

    func decode<T: Decodable>(_ type: T.Type, _ buffer: ByteBuffer) throws -> T {
        do {
            return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
        } catch {
            throw MachineAPIError(status: 0, code: "bad_answer", message: "the orchestrator's answer cannot be read: \(error)")
        }
    }

    /// Fly's shape (`error` for people, `status` for programs) and Berth's (`error` for programs, `message` for people).
    static func error(_ status: Int, _ body: ByteBuffer, retryAfter: Int? = nil) -> MachineAPIError {
        struct Body: Decodable {
            var error: String?
            var message: String?
            var status: String?
            var hint: String?
            var details: Details?
        }
        struct Details: Decodable {
            var hint: String?
            var reason: String?
        }
        let parsed = try? JSONDecoder().decode(Body.self, from: Data(body.readableBytesView))
        return MachineAPIError(
            status: status, code: parsed?.status ?? (parsed?.message == nil ? nil : parsed?.error) ?? "unknown",
            message: parsed?.message ?? parsed?.error ?? "the orchestrator answered HTTP \(status)",
            hint: parsed?.hint ?? parsed?.details?.hint, reason: parsed?.details?.reason, retryAfterSeconds: retryAfter)
    }
}
