/// Something an admin does, with its one audit row.
struct AdminAction: Sendable {
    typealias Append = @Sendable (_ caller: ControlCaller, _ action: String, _ subject: String, _ failure: String?) async throws -> Void

    let caller: ControlCaller
    let action: String
    let subject: String
    let append: Append

    /// Does it and writes the row, whether it succeeds or not.
    ///
    /// - Throws: what `body` does, or that there is no row.
    func run<R>(_ body: () async throws -> R) async throws -> R {
        let result: R
        do {
            result = try await body()
        } catch {
            try await record(error as? ProvisioningFailure ?? ProvisioningFailure(error: "internal", message: "an internal error"))
            throw error
        }
        try await record(nil)
        return result
    }

    /// - Throws: a failure for the caller, who must not hear of success where no row tells of it.
    func record(_ failure: ProvisioningFailure?) async throws(ProvisioningFailure) {
        do {
            try await append(caller, action, subject, failure?.message)
        } catch {
            throw ProvisioningFailure(
                error: "audit_unavailable",
                message: failure.map { "\($0.message); and the audit log cannot be written" } ?? "it is done, but the audit log cannot be written",
                hint: "the gateway's log tells why; free space on the disk of the state directory")
        }
    }
}
