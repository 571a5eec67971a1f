extension AuditStore: AuditQuery {
    func rows(last count: Int, method: String?) async throws -> [AuditLine] {
        try await tail(limit: count, method: method).map { AuditLine(sequence: $0.position, json: $0.json) }
    }

    func follow(after sequence: Int64) -> AsyncThrowingStream<AuditLine, any Error> {
        let entries: AsyncThrowingStream<AuditEntry, any Error> = follow(after: sequence)
        var iterator = entries.makeAsyncIterator()
        return AsyncThrowingStream {
            try await iterator.next().map { AuditLine(sequence: $0.position, json: $0.json) }
        }
    }
}
