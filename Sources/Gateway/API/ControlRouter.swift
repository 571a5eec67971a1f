import ControlSurface
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
    private let recordRefusal: @Sendable (_ principal: String, _ clientAddress: String, _ reason: String) async throws -> Void
    private let meter = NIOLockedValueBox(RefusalMeter())

    /// - Parameter recordRefusal: writes the audit row of a request that was refused; not more than a few a second.
    init(
        api: ControlAPI, logger: Logger,
        recordRefusal: @escaping @Sendable (_ principal: String, _ clientAddress: String, _ reason: String) async throws -> Void
    ) {
        responder = api.router().buildResponder()
        self.logger = logger
        self.recordRefusal = recordRefusal
    }

    func respond(to request: ControlRequest, writer: ExchangeWriter) async {
        guard let caller = await caller(of: request, writer) else { return }
        guard let routed = Request(method: request.method, target: request.uri, headers: request.headers, body: request.body) else {
            return await Self.refuse(writer, 501, "not_implemented", "no such method")
        }
        let source = ControlContext.Source(logger: logger, caller: caller)
        if let error = await writer.answer({ try await responder.respond(to: routed, context: ControlContext(source: source)) }) {
            logger.warning("a control answer was cut off", metadata: ["path": "\(routed.uri.path)", "error": "\(error)"])
        }
    }

    /// Only an admin passes; every refusal looks the same whatever the path.
    private func caller(of request: ControlRequest, _ writer: ExchangeWriter) async -> ControlCaller? {
        switch request.peer {
        case .localRoot: return .localRoot
        case .bearer(let grant?) where grant.scope == .admin: return .admin(principal: grant.principal, clientAddress: request.clientAddress)
        case .bearer(let grant?):
            await record(grant.principal, request, "a virtual MCP's token at the API")
            await Self.refuse(writer, 403, "forbidden", "this token opens a virtual MCP, not the API")
        case .bearer(.none):
            await record("", request, "no or an unknown token at the API")
            await Self.refuse(writer, 401, "unauthorized", "an admin token is needed", [("www-authenticate", "Bearer")])
        }
        return nil
    }

    private func record(_ principal: String, _ request: ControlRequest, _ reason: String) async {
        guard let reason = meter.withLockedValue({ $0.admit(reason, second: WallClock.seconds()) }) else { return }
        do {
            try await recordRefusal(principal, request.clientAddress, reason)
        } catch {
            logger.critical("a refusal is not in the audit log", metadata: ["error": "\(error)"])
        }
    }

    private static func refuse(_ writer: ExchangeWriter, _ status: Int, _ code: String, _ message: String, _ headers: [(String, String)] = []) async {
        let failure = ProvisioningFailure(error: code, message: message, hint: "berth token create --admin")
        await writer.reply(
            status: status, headers: headers + [("content-type", "application/json"), ("cache-control", "no-store")],
            body: ByteBuffer(bytes: failure.json.serialized()))
    }
}
