import HTTPTypes
import Hummingbird
import JSONText
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Sealing

/// Gives every request that is not MCP traffic to Hummingbird's responder, in process: it opens no listener of its own.
struct ControlRouter: ControlResponder {
    private let responder: any HTTPResponder<ControlContext>
    private let logger: Logger
    private let recordRefusal: @Sendable (_ principal: String, _ reason: String) async throws -> Void
    private let meter = NIOLockedValueBox(RefusalMeter())

    /// - Parameter recordRefusal: writes the audit row of a request that was refused; not more than a few a second.
    init(api: ControlAPI, logger: Logger, recordRefusal: @escaping @Sendable (_ principal: String, _ reason: String) async throws -> Void) {
        responder = api.router().buildResponder()
        self.logger = logger
        self.recordRefusal = recordRefusal
    }

    func respond(to request: ControlRequest, writer: ControlWriter) async {
        guard let caller = await caller(of: request, writer) else { return }
        guard let method = HTTPRequest.Method(rawValue: request.method) else {
            return await Self.refuse(writer, 501, "not_implemented", "no such method")
        }
        var fields = HTTPFields()
        for (name, value) in request.headers {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        let head = HTTPRequest(method: method, scheme: "http", authority: request.headers.first { $0.name.lowercased() == "host" }?.value, path: request.uri, headerFields: fields)
        let source = ControlContext.Source(logger: logger, caller: caller)
        do {
            let response = try await responder.respond(
                to: Request(head: head, body: RequestBody(buffer: request.body)), context: ControlContext(source: source))
            let headers = response.headers.map { ($0.name.rawName, $0.value) }
            if let length = response.body.contentLength {
                let collected = NIOLockedValueBox(ByteBufferAllocator().buffer(capacity: length))
                try await response.body.write(Collector(storage: collected))
                await writer.reply(status: response.status.code, headers: headers, body: collected.withLockedValue { $0 })
            } else {
                await writer.open(status: response.status.code, headers: headers)
                try await response.body.write(Streamer(writer: writer))
            }
        } catch {
            // A stream whose reader went away, or a handler past its middleware: nothing can be said any more.
            logger.debug("a control answer ended early", metadata: ["error": "\(error)"])
        }
        await writer.finish()
    }

    /// Only an admin passes; every refusal looks the same whatever the path.
    private func caller(of request: ControlRequest, _ writer: ControlWriter) async -> ControlCaller? {
        switch request.peer {
        case .localRoot: return .localRoot
        case .bearer(let grant?) where grant.scope == .admin: return .admin(principal: grant.principal)
        case .bearer(let grant?):
            await record(grant.principal, "a virtual MCP's token at the API")
            await Self.refuse(writer, 403, "forbidden", "this token opens a virtual MCP, not the API")
        case .bearer(.none):
            await record("", "no or an unknown token at the API")
            await Self.refuse(writer, 401, "unauthorized", "an admin token is needed", [("www-authenticate", "Bearer")])
        }
        return nil
    }

    private func record(_ principal: String, _ reason: String) async {
        guard let unwritten = meter.withLockedValue({ $0.admit(second: WallClock.seconds()) }) else { return }
        do {
            try await recordRefusal(principal, unwritten == 0 ? reason : "\(reason); \(unwritten) more before it")
        } catch {
            logger.critical("a refusal is not in the audit log", metadata: ["error": "\(error)"])
        }
    }

    private static func refuse(_ writer: ControlWriter, _ status: Int, _ code: String, _ message: String, _ headers: [(String, String)] = []) async {
        let failure = ProvisioningFailure(error: code, message: message, hint: "berth token create --admin")
        await writer.reply(
            status: status, headers: headers + [("content-type", "application/json"), ("cache-control", "no-store")],
            body: ByteBuffer(bytes: failure.json.serialized()))
        await writer.finish()
    }
}

/// A body of known length, for one write.
private struct Collector: ResponseBodyWriter {
    let storage: NIOLockedValueBox<ByteBuffer>
    mutating func write(_ buffer: ByteBuffer) async throws { storage.withLockedValue { _ = $0.writeImmutableBuffer(buffer) } }
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}

/// A body in pieces, each waiting for the client to take it.
private struct Streamer: ResponseBodyWriter {
    let writer: ControlWriter
    mutating func write(_ buffer: ByteBuffer) async throws { try await writer.write(buffer) }
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
