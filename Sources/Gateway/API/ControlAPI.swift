import HTTPTypes
import FoundationEssentials
import Hummingbird
import JSONText
import MCP
import MachineAPI
import NIOCore
import Sealing

/// The gateway's control surface, `/api/v1`: JSON in and out, no cookie is ever read.
struct ControlAPI: Sendable {
    let plane: ControlPlane
    let audit: AuditStore
    /// Writes a row as it is.
    let record: @Sendable (AuditRow) async throws -> Void
    let recordAdmin: AdminAction.Append

    func router() -> Hummingbird.Router<ControlContext> {
        let router = Hummingbird.Router(context: ControlContext.self)
        router.add(middleware: ControlErrors())
        let api = router.group("api/v1")
        api.get("status") { _, _ in try await status() }
        api.get("bootstrap") { _, context in try await bootstrap(context) }
        api.get("connectors") { _, _ in try await connectors() }
        api.get("connectors/:name") { _, context in try await connector(context.parameters.require("name")) }
        api.post("connectors") { request, context in try await provision(request, context, updating: nil) }
        api.patch("connectors/:name") { request, context in try await provision(request, context, updating: context.parameters.require("name")) }
        api.delete("connectors/:name") { _, context in
            let name = try context.parameters.require("name")
            return try await recorded(context, "connector.remove", name) {
                try await plane.removeConnector(name)
                return .record(("removed", .string(name)))
            }
        }
        api.post("image-tests") { request, context in try await trial(request, context) }
        addVersions(to: api)
        addVirtualMCPs(to: api)
        addTokens(to: api)
        addExecRows(to: api)
        api.get("audit") { request, _ in try await auditRows(request) }
        return router
    }

    // MARK: Reading

    private func status() async throws -> ControlAnswer {
        let connectors = try await plane.list()
        let now = WallClock.milliseconds()
        let tokens = try await plane.listTokens().filter { $0.state(at: now) == "active" }
        return ControlAnswer(
            .record(
                ("url", .string(plane.publicURL)), ("listen", .string(plane.listen)), ("version", .string(BerthVersion.current)),
                ("org", .string(plane.org)),
                ("connectors", .int(connectors.count)), ("vmcps", .int(try await plane.virtualMCPs().count)), ("tokens", .int(tokens.count))))
    }

    private func bootstrap(_ context: ControlContext) async throws -> ControlAnswer {
        guard context.caller == .localRoot else { throw Self.controlSocketOnly }
        return ControlAnswer(.record(("url", .string(plane.publicURL)), ("admin_token", .string(try await plane.bootstrapToken()))))
    }

    private func connectors() async throws -> ControlAnswer {
        let rows = try await plane.list().map { record -> JSONValue in
            let tools = try record.tools.map { try ToolMerge.merge([.init(connector: record.name, toolsListResult: $0)]).tools.count }
            return .record(
                ("name", .string(record.name)), ("app", .string(record.app)), ("state", .string(record.state.rawValue)),
                ("source", .string(record.definition.source.title)), ("constraints", record.definition.source.constraints.map(Self.strings)),
                ("image", (record.build?.image).map { .string($0) }), ("packages", record.build.map { .array($0.packages.map { .string($0) }) }),
                ("tools", tools.map { .int($0) }), ("secrets", .array(record.definition.secrets.map { .string($0) })),
                ("generation", .int(record.generation)), ("created_at", .int(Int(record.createdAt))), ("updated_at", .int(Int(record.updatedAt))))
        }
        return ControlAnswer(.record(("connectors", .array(rows))))
    }

    private func connector(_ name: String) async throws -> ControlAnswer {
        let all = try await plane.list()
        guard let record = all.first(where: { $0.name == name }) else {
            throw ProvisioningFailure.unknown("connector", name, among: all.map(\.name), field: "name")
        }
        let definition = record.definition
        let tools = try record.tools.map { try JSONValue(parsing: $0)["tools"]?.arrayValue ?? [] }
        let versions = try await plane.versions(of: name).map { $0.json(isServing: $0.version == record.generation) }
        return ControlAnswer(
            .record(
                ("name", .string(record.name)), ("app", .string(record.app)), ("state", .string(record.state.rawValue)),
                ("source", .string(definition.source.title)), ("with", definition.source.with.map(Self.strings)),
                ("constraints", definition.source.constraints.map(Self.strings)), ("python", definition.source.python.map { .string($0) }),
                ("command", (record.build?.command).map(Self.strings)), ("args", definition.source.arguments.map(Self.strings)),
                ("env", .object(JSONObject(definition.environment.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))),
                ("secrets", Self.strings(definition.secrets)), ("memory_mb", .int(definition.memoryMB)), ("pids", .int(definition.pids)),
                ("hosting", (definition.hosting ?? ConnectorHosting()).json),
                ("era", .string(definition.era ?? "auto")), ("transport", .string(definition.http == nil ? "stdio" : "http")),
                ("http", definition.http.map { .string($0.text) }), ("egress", Self.strings(definition.egress ?? [])),
                ("egress_private", Self.strings(definition.egressPrivate ?? [])), ("life", definition.lifeInForce.json),
                ("image", (record.build?.image).map { .string($0) }), ("image_bytes", (record.build?.bytes).map { .int($0) }),
                ("packages", (record.build?.packages).map(Self.strings)),
                ("tools", tools.map { .array($0) }), ("generation", .int(record.generation)), ("versions", .array(versions)),
                ("created_at", .int(Int(record.createdAt))), ("updated_at", .int(Int(record.updatedAt)))))
    }

    private static func strings(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }

    private func auditRows(_ request: Request) async throws -> Response {
        let parameters = request.uri.queryParameters
        let query = try AuditQuery { parameters[$0] }
        let pages = try await audit.rows(last: query.limit, matching: query.filter, follows: query.follows)
        return .ndjson { writer in
            try await pages.each { try await writer.lines($0.map(\.json)) }
        }
    }

    // MARK: Provisioning

    private func provision(_ request: Request, _ context: ControlContext, updating name: String?) async throws -> Response {
        let body = try await Self.decode(ConnectorRequest.self, request)
        if let name, name != body.name {
            throw ProvisioningFailure(error: "invalid", message: "the name in the body differs from the path's", field: "name", hint: "give one name")
        }
        return try await events(context, name == nil ? "connector.add" : "connector.update", body.name) {
            await plane.provision(body, updating: name != nil, say: $0)
        }
    }

    private func trial(_ request: Request, _ context: ControlContext) async throws -> Response {
        let body = try await Self.decode(ConnectorRequest.self, request)
        return try await events(context, "image.test", body.source?.title ?? "") { await plane.trial(body, say: $0) }
    }

    // MARK: Virtual MCPs and tokens

    private struct VirtualMCPBody: Decodable { var name: String?; var connectors: [String] }

    private func addVirtualMCPs(to api: RouterGroup<ControlContext>) {
        api.get("vmcps") { _, _ in
            let rows = try await plane.virtualMCPs().map { slug, connectors, createdAt -> JSONValue in
                .record(
                    ("name", .string(slug)), ("connectors", .array(connectors.map { .string($0) })), ("url", .string(url(of: slug))),
                    ("created_at", .int(Int(createdAt))))
            }
            return ControlAnswer(.record(("vmcps", .array(rows))))
        }
        api.post("vmcps") { request, context in
            let body = try await Self.decode(VirtualMCPBody.self, request)
            guard let name = body.name else { throw ProvisioningFailure(error: "invalid", message: "name is missing", field: "name") }
            return try await put(name, body.connectors, replacing: false, context)
        }
        api.patch("vmcps/:name") { request, context in
            let body = try await Self.decode(VirtualMCPBody.self, request)
            return try await put(context.parameters.require("name"), body.connectors, replacing: true, context)
        }
        api.delete("vmcps/:name") { _, context in
            let name = try context.parameters.require("name")
            return try await recorded(context, "vmcp.remove", name) {
                try await plane.removeVirtualMCP(name)
                return .record(("removed", .string(name)))
            }
        }
    }

    private func put(_ name: String, _ connectors: [String], replacing: Bool, _ context: ControlContext) async throws -> ControlAnswer {
        try await recorded(context, replacing ? "vmcp.update" : "vmcp.create", name) {
            try await plane.putVirtualMCP(name, connectors: connectors, replacing: replacing)
            return .record(
                ("name", .string(name)), ("connectors", .array(connectors.map { .string($0) })), ("url", .string(url(of: name))))
        }
    }

    private struct TokenBody: Decodable { var principal: String; var vmcp: String?; var expires_in: Int64?; var admin: Bool? }

    private func addTokens(to api: RouterGroup<ControlContext>) {
        api.get("tokens") { _, _ in
            let now = WallClock.milliseconds()
            return ControlAnswer(.record(("tokens", .array(try await plane.listTokens().map { $0.json(at: now) }))))
        }
        api.post("tokens") { request, context in
            let body = try await Self.decode(TokenBody.self, request)
            let isAdmin = body.admin == true
            if isAdmin && context.caller != .localRoot { throw Self.controlSocketOnly }
            guard isAdmin != (body.vmcp != nil) else {
                throw ProvisioningFailure(
                    error: "invalid", message: "a token opens one virtual MCP, or is an admin's", field: "vmcp",
                    hint: "give vmcp")
            }
            return try await recorded(context, "token.create", body.principal) {
                let (record, token) = try await plane.createToken(principal: body.principal, slug: body.vmcp, expiresIn: body.expires_in)
                return .record(
                    ("id", .string(record.id)), ("url", .string(body.vmcp.map(url(of:)) ?? plane.publicURL)), ("token", .string(token)),
                    ("expires_at", record.expires_at.map { .int(Int($0)) }))
            }
        }
        api.delete("tokens/:id") { _, context in
            let id = try context.parameters.require("id")
            return try await recorded(context, "token.revoke", id) {
                do {
                    try await plane.revokeToken(id)
                } catch let failure as ProvisioningFailure where failure.error == "not_found" {
                    throw ProvisioningFailure.cannotRevoke(id, among: try await plane.listTokens(), at: WallClock.milliseconds())
                }
                return .record(("revoked", .string(id)))
            }
        }
    }

    private func url(of slug: String) -> String { "\(plane.publicURL)/v/\(slug)/mcp" }

    // MARK: Shared

    /// Runs an admin action with its audit row, whether it succeeds or not.
    private func recorded(
        _ context: ControlContext, _ action: String, _ subject: String, _ body: () async throws -> JSONValue
    ) async throws -> ControlAnswer {
        ControlAnswer(try await AdminAction(caller: context.caller, action: action, subject: subject, append: recordAdmin).run(body))
    }

    static let controlSocketOnly = ProvisioningFailure(
        error: "forbidden", message: "this is answered on the control socket only", hint: "run berth on the host as root")

    static func decode<T: Decodable>(_ type: T.Type, _ request: Request) async throws -> T {
        guard let content = request.headers[.contentType], content.lowercased().hasPrefix("application/json") else {
            throw ProvisioningFailure(
                error: "unsupported_media_type", message: "the body must be JSON", field: "content-type", hint: "Content-Type: application/json")
        }
        let buffer = try await request.body.collect(upTo: 1 << 20)
        do {
            return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
        } catch let DecodingError.keyNotFound(key, _) {
            throw ProvisioningFailure(error: "invalid", message: "\(key.stringValue) is missing", field: key.stringValue)
        } catch let DecodingError.typeMismatch(_, context) {
            let field = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw ProvisioningFailure(error: "invalid", message: "\(field) has the wrong type", field: field)
        } catch {
            throw ProvisioningFailure(error: "invalid", message: "the body is no valid JSON", field: "body")
        }
    }
}
