// First, as in ControlAPI.swift: whichever header is met first owns the C library's types in this module.
import FoundationEssentials
import Door
import Hummingbird
import JSONText

extension ControlAPI {
    private struct ExecBody: Decodable {
        var app: String
        var machine: String
        var boot: String
        /// How the orchestrator knows who asked.
        var by: String
        var command: [String]
    }

    /// `POST exec-rows`: the orchestrator's word, before it runs a command in a machine. It runs none without this row.
    func addExecRows(to api: RouterGroup<ControlContext>) {
        api.post("exec-rows") { request, context in
            guard context.caller == .localRoot else { throw Self.controlSocketOnly }
            let body = try await Self.decode(ExecBody.self, request)
            let connector = try await plane.list().first { $0.app == body.app }?.name
            var row = AuditRow(method: "exec", outcome: .allowed, principal: body.by == "root" ? context.caller.principal : "machines:\(body.by)")
            row.connector = connector ?? ""
            row.machine = body.machine
            row.boot = body.boot
            row.reason = "its end is among the machine's events"
            let redactor = AuditRedactor(literals: try await secrets(of: connector))
            row.tool = redactor.redact(line: body.command.first ?? "", limit: 256)
            row.arguments = JSONValue.record(("command", .array(body.command.map { .string($0) }))).serialized().withUnsafeBytes(redactor.redact)
            do {
                try await record(row)
            } catch {
                throw ProvisioningFailure(
                    error: "audit_unavailable", message: "the audit log cannot be written",
                    hint: "the gateway's log tells why; free space on the disk of the state directory")
            }
            return ControlAnswer(.record(("recorded", .bool(true))))
        }
    }

    private func secrets(of connector: String?) async throws -> [String] {
        guard let connector else { return [] }
        return try await plane.credentialStore.credentials(connector: connector)?.secretValues ?? []
    }
}
