import JSONText

/// Reads the audit log for people and programs.
protocol AuditQuery: Sendable {
    /// The last rows, oldest first; of one method, where given.
    func rows(last count: Int, method: String?) async throws -> [AuditLine]
    /// Every row after `sequence`, as it is written.
    func follow(after sequence: Int64) -> AsyncThrowingStream<AuditLine, any Error>
}

/// A row as it is answered.
struct AuditLine: Sendable {
    var sequence: Int64
    var json: JSONValue
}
