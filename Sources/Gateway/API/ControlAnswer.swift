import GRDB
import HTTPTypes
import Hummingbird
import JSONText
import Logging
import MachineAPI
import NIOCore

/// A JSON answer of the control surface.
struct ControlAnswer: ResponseGenerator {
    var status: HTTPResponse.Status
    var value: JSONValue

    init(_ value: JSONValue, status: HTTPResponse.Status = .ok) {
        self.value = value
        self.status = status
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        Response(
            status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
            body: .init(byteBuffer: ByteBuffer(bytes: value.serialized())))
    }
}

/// Turns what a handler throws into `{"error","message","field","hint"}`; what was not meant for callers stays in the log.
struct ControlErrors<Context: RequestContext>: RouterMiddleware {
    func handle(_ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let failure as ProvisioningFailure {
            return try ControlAnswer(failure.json, status: failure.status).response(from: request, context: context)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL {
            return try ControlAnswer(ProvisioningFailure.diskFull.json, status: .init(code: 507)).response(from: request, context: context)
        } catch let error as any HTTPResponseError {
            let failure = ProvisioningFailure(
                error: error.status == .notFound ? "not_found" : "invalid", message: error.status == .notFound ? "no such path" : "\(error.status)")
            return try ControlAnswer(failure.json, status: error.status).response(from: request, context: context)
        } catch {
            context.logger.error("a control request failed", metadata: ["error": "\(error)", "path": "\(request.uri.path)"])
            let failure = ProvisioningFailure(error: "internal", message: "the gateway could not do it", hint: "its log tells why")
            return try ControlAnswer(failure.json, status: .internalServerError).response(from: request, context: context)
        }
    }
}

extension ProvisioningFailure {
    var json: JSONValue {
        .record(
            ("error", .string(error)), ("reason", reason.map { .string($0) }), ("exit_code", exit_code.map { .int($0) }),
            ("message", .string(message)), ("field", field.map { .string($0) }), ("hint", hint.map { .string($0) }),
            ("stderr", stderr.map { .string($0) }), ("accept", accept.map { .array($0.map { .string($0) }) }))
    }

    var status: HTTPResponse.Status {
        switch error {
        case "not_found": .notFound
        case "exists", "busy", "in_use": .conflict
        case "forbidden": .forbidden
        case "unsupported_media_type": .unsupportedMediaType
        case "internal": .internalServerError
        case "audit_unavailable": .serviceUnavailable
        default: .badRequest
        }
    }
}

extension ProvisioningEvent {
    var json: JSONValue {
        switch self {
        case .step(let text): return .record(("event", "step"), ("text", .string(text)))
        case .release(let report): return report.json
        case .ready(let name, let tools, let seconds):
            return .record(
                ("event", "ready"), ("name", .string(name)), ("tools", .int(tools)), ("seconds", .number("\((seconds * 10).rounded() / 10)")))
        case .passed(let trial, let seconds):
            let tools = (try? JSONValue(parsing: trial.tools))?["tools"]?.arrayValue ?? []
            return .record(
                ("event", "passed"), ("image", .string(trial.image.image)), ("image_bytes", trial.image.bytes.map { .int($0) }),
                ("packages", .array(trial.image.packages.map { .string($0) })), ("tools", .array(tools)),
                ("seconds", .number("\((seconds * 10).rounded() / 10)")))
        case .changes(let changes): return changes.json
        case .failed(let failure):
            guard var members = failure.json.objectValue else { return failure.json }
            members["event"] = "failed"
            return .object(members)
        }
    }
}

extension ReleaseReport {
    var json: JSONValue {
        .record(
            ("event", "release"), ("kind", .string(kind.rawValue)), ("name", .string(name)), ("version", version.map { .string($0) }),
            ("exact", .bool(exact)), ("published_at", published_at.map { .int($0) }), ("age", age.map { .int($0) }),
            ("publishers", .array(publishers.map { .string($0) })), ("author", author.map { .string($0) }),
            ("dependencies", dependencies.map { .int($0) }), ("bytes", bytes.map { .int($0) }), ("digest", digest.map { .string($0) }),
            ("doubts", .array(doubts.map { .record(("reason", .string($0.reason.rawValue)), ("text", .string($0.text))) })),
            ("accept", .string(accept)))
    }
}

extension Response {
    /// One JSON object a line, written as they come.
    static func ndjson(_ body: @escaping @concurrent @Sendable (inout NDJSONWriter) async throws -> Void) -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/x-ndjson", .cacheControl: "no-store"],
            body: .init { writer in
                var lines = NDJSONWriter(writer: writer)
                try await body(&lines)
                try await lines.writer.finish(nil)
            })
    }
}

/// Writes lines of JSON.
struct NDJSONWriter {
    var writer: any ResponseBodyWriter

    @concurrent mutating func line(_ value: JSONValue) async throws { try await lines([value]) }

    /// Several with one write.
    @concurrent mutating func lines(_ values: [JSONValue]) async throws {
        var buffer = ByteBuffer()
        for value in values {
            buffer.writeBytes(value.serialized())
            buffer.writeInteger(UInt8(ascii: "\n"))
        }
        try await writer.write(buffer)
    }
}
