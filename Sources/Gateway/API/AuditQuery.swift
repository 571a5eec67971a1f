/// Reads the audit log for people and programs.
protocol AuditQuery: Sendable {
    /// The last rows, oldest first; of one method, where given.
    func tail(limit: Int, method: String?) async throws -> [AuditEntry]
    /// Every row after a position, as it is written.
    func follow(after position: Int64) -> AsyncThrowingStream<AuditEntry, any Error>
}

extension AuditStore: AuditQuery {}
