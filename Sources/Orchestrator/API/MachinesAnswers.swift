import FoundationEssentials
import HTTPTypes
import Hummingbird
import JSONText
import Logging
import MachineAPI
import NIOCore
import Sealing

/// A JSON answer.
struct JSONAnswer<Value: Encodable & Sendable>: ResponseGenerator {
    var status: HTTPResponse.Status = .ok
    var value: Value

    init(_ value: Value, status: HTTPResponse.Status = .ok) {
        self.value = value
        self.status = status
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        Response(status: status, headers: Self.headers, body: .init(byteBuffer: ByteBuffer(bytes: try JSONCoding.encode(value))))
    }

    private static var headers: HTTPFields { [.contentType: "application/json", .cacheControl: "no-store"] }
}

enum JSONCoding {
    static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        return try encoder.encode(value)
    }

    /// A body as it stands.
    static func value(_ body: [UInt8]) throws(MachineFailure) -> JSONValue {
        do {
            return try JSONValue(parsing: body)
        } catch {
            throw MachineFailure(.badRequest, "invalid", "the body is no valid JSON", field: "body")
        }
    }

    static func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8]) throws(MachineFailure) -> T {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let DecodingError.keyNotFound(key, context) {
            let field = (context.codingPath + [key]).map(\.stringValue).joined(separator: ".")
            throw MachineFailure(.badRequest, "invalid", "\(field) is missing", field: field)
        } catch let DecodingError.typeMismatch(_, context) {
            let field = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw MachineFailure(.badRequest, "invalid", "\(field) has the wrong type", field: field)
        } catch let DecodingError.dataCorrupted(context) where !context.codingPath.isEmpty {
            let field = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw MachineFailure(.badRequest, "invalid", "\(field) has a value that is not known here", field: field)
        } catch {
            throw MachineFailure(.badRequest, "invalid", "the body is no valid JSON", field: "body")
        }
    }
}

extension MachineFailure {
    /// On Fly's paths Fly's shape, on Berth's own Berth's.
    func answer(path: String) -> (headers: [(String, String)], body: ByteBuffer) {
        let isOwn = path.hasPrefix("/v1/berth/")
        var members: [(String, JSONValue)]
        if isOwn {
            members = [("error", .string(code)), ("message", .string(message))]
            if let field { members.append(("field", .string(field))) }
            if let hint { members.append(("hint", .string(hint))) }
        } else {
            var details = details.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string($0.value)) }
            if let field { details.append(("field", .string(field))) }
            if let hint { details.append(("hint", .string(hint))) }
            members = [("error", .string(message)), ("status", .string(code)), ("details", .object(JSONObject(details)))]
        }
        let body = ByteBuffer(bytes: JSONValue.object(JSONObject(members)).serialized())
        var headers = [("content-type", "application/json"), ("cache-control", "no-store"), ("fly-request-id", RequestID.next())]
        if let retryAfterSeconds { headers.append(("retry-after", "\(retryAfterSeconds)")) }
        if status == .unauthorized { headers.append(("www-authenticate", "Bearer")) }
        return (headers, body)
    }
}

/// `fly-request-id`: on every answer.
enum RequestID {
    static func next() -> String { "\(ULID())-local" }
}

/// Turns what a handler throws into the API's error shapes; what was not meant for callers stays in the log.
struct MachinesErrors: RouterMiddleware {
    func handle(
        _ request: Request, context: MachinesContext, next: @concurrent (Request, MachinesContext) async throws -> Response
    ) async throws -> Response {
        let failure: MachineFailure
        do {
            var response = try await next(request, context)
            if let name = HTTPField.Name("fly-request-id") { response.headers[name] = RequestID.next() }
            return response
        } catch let error as MachineFailure {
            failure = error
        } catch let error as CancellationError {
            throw error
        } catch let error as ImageBuildFailure {
            failure = MachineFailure(.invalid, error.error, error.message, hint: error.hint)
        } catch let error as any HTTPResponseError {
            failure = Self.refusal(error.status, path: request.uri.path)
        } catch {
            context.logger.error("a request failed", metadata: ["error": "\(error)", "path": "\(request.uri.path)"])
            failure = MachineFailure(.internalError, "internal", "the orchestrator could not do it", hint: "its log tells why")
        }
        let answer = failure.answer(path: request.uri.path)
        var headers = HTTPFields()
        for (name, value) in answer.headers {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        return Response(status: .init(code: failure.status.rawValue), headers: headers, body: .init(byteBuffer: answer.body))
    }

    private static func refusal(_ status: HTTPResponse.Status, path: String) -> MachineFailure {
        switch status.code {
        case 404: return MachineFailure(.notFound, "not_found", "there is nothing at \(path.prefix(200))")
        case 405: return MachineFailure(.methodNotAllowed, "method_not_allowed", "\(path.prefix(200)) does not take this method")
        case 413: return MachineFailure(.tooLarge, "too_large", "the body is too large")
        default: return MachineFailure(.badRequest, "invalid", "the request cannot be read")
        }
    }
}

/// RFC 3339 in UTC, to the millisecond.
enum Timestamp {
    static func text(_ milliseconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(milliseconds) / 1_000).formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
