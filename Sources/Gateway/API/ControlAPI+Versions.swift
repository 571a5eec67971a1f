// First, as in ControlAPI.swift: whichever header is met first owns the C library's types in this module.
import FoundationEssentials
import Hummingbird
import JSONText
import MachineAPI

extension ControlAPI {
    private struct RebuildBody: Decodable { var image: String?; var tools: String?; var accept: [String]? }
    private struct RollbackBody: Decodable { var to: Int? }

    /// `POST connectors/NAME/rebuild`: `{}` tells what would change, `{"image": …, "tools": …}` does it; `POST connectors/NAME/rollback`.
    func addVersions(to api: RouterGroup<ControlContext>) {
        api.post("connectors/:name/rebuild") { request, context in
            let name = try context.parameters.require("name")
            let body = try await Self.decode(RebuildBody.self, request)
            guard let image = body.image else {
                return try await events(context, "connector.preview", name) { await plane.preview(name, accepting: body.accept ?? [], say: $0) }
            }
            let agreed = Provisioner.Agreed(image: image, tools: body.tools, accept: body.accept ?? [])
            return try await events(context, "connector.rebuild", name) { await plane.replace(name, by: .rebuilt(agreed), say: $0) }
        }
        api.post("connectors/:name/rollback") { request, context in
            let name = try context.parameters.require("name")
            let body = try await Self.decode(RollbackBody.self, request)
            return try await events(context, "connector.rollback", name) { await plane.replace(name, by: .earlier(body.to), say: $0) }
        }
    }

    /// An admin's work that takes long: its steps, its end, its audit row.
    func events(
        _ context: ControlContext, _ action: String, _ subject: String,
        _ work: @escaping @Sendable (_ say: @escaping @Sendable (ProvisioningEvent) -> Void) async -> ProvisioningFailure?
    ) async throws -> Response {
        let action = AdminAction(caller: context.caller, action: action, subject: subject, append: recordAdmin)
        let answer = ProvisioningAnswer(work: work, record: action.record)
        return .ndjson { writer in
            try await answer.write { try await writer.line($0.json) }
        }
    }
}

extension ConnectorVersion {
    func json(isServing: Bool) -> JSONValue {
        .record(
            ("version", .int(version)), ("serving", .bool(isServing)), ("image", .string(build.image)), ("source", .string(definition.source.title)),
            ("packages", .int(build.packages.count)), ("why", .string(why)), ("made_at", .int(Int(madeAt))))
    }
}
