import JSONText

extension TokenRecord {
    /// `active`, `expired` or `revoked`.
    func state(at now: Int64) -> String {
        if revoked_at != nil { return "revoked" }
        return (expires_at ?? .max) > now ? "active" : "expired"
    }

    func json(at now: Int64) -> JSONValue {
        .record(
            ("id", .string(id)), ("principal", .string(principal)), ("vmcp", vmcp.map { .string($0) }), ("state", .string(state(at: now))),
            ("created_at", .int(Int(created_at))), ("expires_at", expires_at.map { .int(Int($0)) }),
            ("revoked_at", revoked_at.map { .int(Int($0)) }))
    }
}

extension ProvisioningFailure {
    /// Why there is nothing to revoke: what was given may be a principal, whose tokens the remedy names.
    static func cannotRevoke(_ id: String, among tokens: [TokenRecord], at now: Int64) -> ProvisioningFailure {
        func failure(_ message: String, _ hint: String) -> ProvisioningFailure {
            ProvisioningFailure(error: "not_found", message: message, field: "id", hint: hint)
        }
        if tokens.contains(where: { $0.id == id }) { return failure("the token \(id) is revoked already", "berth token list") }
        let own = tokens.filter { $0.principal == id }
        guard !own.isEmpty else { return failure("no token has the ID \(id.prefix(64))", "berth token list") }
        let live = own.filter { $0.state(at: now) != "revoked" }.map(\.id)
        return failure(
            "\(id) is no token's ID but a principal",
            live.isEmpty
                ? "none of its tokens is left to revoke: berth token list"
                : "berth token revoke \(live[0])" + (live.count == 1 ? "" : ", or \(live[1..<min(live.count, 10)].joined(separator: ", "))"))
    }
}
