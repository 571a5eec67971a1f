import Hummingbird
import JSONText
import MachineAPI

extension MachineRoutes {
    func addMetadata(to v1: RouterGroup<MachinesContext>) {
        let path = "apps/:app/machines/:id/metadata"
        v1.get("\(path)") { _, context in JSONAnswer(try await machine(context).config.metadata ?? [:]) }
        v1.put("\(path)") { request, context in
            try await change(try MetadataRequest(try await body(of: request)), replacing: true, request, context)
        }
        v1.patch("\(path)") { request, context in
            try await change(try MetadataRequest(try await body(of: request)), replacing: false, request, context)
        }
        v1.get("\(path)/:key") { _, context in
            let key = try context.parameters.require("key")
            guard let value = try await machine(context).config.metadata?[key] else {
                throw MachineFailure(.notFound, "not_found", "the machine has no metadata \(key.prefix(64))", field: "key")
            }
            return JSONAnswer(["value": value])
        }
        v1.post("\(path)/:key") { request, context in
            let wanted = try MetadataRequest(key: context.parameters.require("key"), body: try await body(of: request))
            return try await change(wanted, replacing: false, request, context)
        }
        v1.delete("\(path)/:key") { request, context in
            try await change(try MetadataRequest(key: context.parameters.require("key"), body: nil), replacing: false, request, context)
        }
    }

    /// No new version, no restart.
    private func change(
        _ wanted: MetadataRequest, replacing: Bool, _ request: Request, _ context: MachinesContext
    ) async throws -> Response {
        let machine = try await changeable(request, context)
        try await orchestrator.reconciler.change(machine.id) { record in
            try wanted.check(against: record)
            var config = record.config
            config.metadata = try wanted.applied(to: config.metadata ?? [:], replacing: replacing)
            try ConfigRules.check(config)
            record.config = config
            return nil
        }
        return Response(status: .noContent)
    }
}

extension MetadataRequest {
    /// What the gateway finds its machines by; only it sets it, with the machine. How a server is spoken to and when it counts as ready
    /// is anybody's to say.
    static func isReserved(_ key: String) -> Bool { key.hasPrefix("berth_") && key != "berth_era" && key != "berth_ready" }

    static func reserved(_ key: String, field: String) -> MachineFailure {
        MachineFailure(.invalid, "reserved", "metadata.\(key.prefix(64)) is the gateway's", field: field, hint: "another name")
    }

    func check(against machine: MachineRecord) throws(MachineFailure) {
        if let version, version != machine.instance {
            throw MachineFailure(
                .preconditionFailed, "failed_precondition", "failed_precondition: the machine has the version \(machine.instance)",
                field: "machine_version")
        }
        if let updatedAt, updatedAt != Timestamp.text(machine.updatedAt) {
            throw MachineFailure(
                .preconditionFailed, "failed_precondition", "failed_precondition: the machine was changed at \(Timestamp.text(machine.updatedAt))",
                field: "updated_at")
        }
    }

    func applied(to before: [String: String], replacing: Bool) throws(MachineFailure) -> [String: String] {
        var after = replacing ? before.filter { $0.key.hasPrefix("berth_") } : before
        for (key, value) in values {
            guard !key.isEmpty, key.utf8.count <= 128 else {
                throw MachineFailure(.invalid, "invalid", "a key has 1 to 128 bytes", field: "metadata")
            }
            // Here also what is anybody's with the configuration: it holds from the next boot on only.
            guard !key.hasPrefix("berth_") || before[key] == value else { throw Self.reserved(key, field: "metadata.\(key.prefix(64))") }
            after[key] = value.isEmpty ? nil : value
        }
        return after
    }
}
