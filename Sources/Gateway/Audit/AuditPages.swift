import GRDB

/// Which rows a reader wants; a nil member is any.
public struct AuditFilter: Sendable, Equatable {
    public var method: String?
    public var principal: String?

    public init(method: String? = nil, principal: String? = nil) {
        self.method = method
        self.principal = principal
    }

    /// ` AND …` for a `WHERE`, and the values in it.
    fileprivate var condition: (sql: String, values: [String]) {
        let members = [("method", method), ("principal", principal)].compactMap { name, value in value.map { (" AND \(name) = ?", $0) } }
        return (members.map(\.0).joined(), members.map(\.1))
    }
}

/// Rows of the projection, oldest first, pulled a page at a time: however many a reader asked for, only a page of them is
/// in memory.
public struct AuditPages: AsyncSequence, Sendable {
    let store: AuditStore
    let filter: AuditFilter
    /// Before the first row, and the last one.
    let range: (after: Int64, upTo: Int64)
    let follows: Bool

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(store: store, filter: filter, follows: follows, position: range.after, end: range.upTo)
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let store: AuditStore
        fileprivate let filter: AuditFilter
        fileprivate let follows: Bool
        fileprivate var position: Int64
        fileprivate var end: Int64

        /// The next rows, at least one; nil at the end, which for a follower is its cancellation.
        public mutating func next() async throws -> [AuditEntry]? {
            while !Task.isCancelled {
                if position < end {
                    let page = try await store.page(after: position, upTo: end, filter)
                    // Rows that the filter leaves out are passed too, and never read again.
                    position = page.count < AuditStore.pageSize ? end : page.last?.position ?? end
                    if !page.isEmpty { return page }
                } else {
                    guard follows else { return nil }
                    end = try await store.end(beyond: position)
                }
            }
            return nil
        }
    }
}

extension AuditStore {
    /// Rows that are read at once; with their payloads a few megabytes at most.
    static let pageSize = 100

    /// The last rows, oldest first, everything that is in the journal by now among them; with `follows` those to come too.
    public func rows(last limit: Int, matching filter: AuditFilter = AuditFilter(), follows: Bool = false) async throws -> AuditPages {
        await settled()
        let (sql, values) = filter.condition
        let range = try await pool.read { database in
            let end = try Int64.fetchOne(database, sql: "SELECT max(position) FROM row") ?? 0
            let first = try Int64.fetchOne(
                database, sql: "SELECT min(position) FROM (SELECT position FROM row WHERE true\(sql) ORDER BY position DESC LIMIT ?)",
                arguments: StatementArguments(values) + [limit])
            return (after: first.map { $0 - 1 } ?? end, upTo: end)
        }
        return AuditPages(store: self, filter: filter, range: range, follows: follows)
    }

    fileprivate func page(after position: Int64, upTo end: Int64, _ filter: AuditFilter) async throws -> [AuditEntry] {
        let (sql, values) = filter.condition
        return try await pool.read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM row WHERE position > ? AND position <= ?\(sql) ORDER BY position LIMIT \(Self.pageSize)",
                arguments: [position, end] + StatementArguments(values)
            ).map(Self.entry)
        }
    }

    /// The last position, once there is one beyond `position`.
    fileprivate func end(beyond position: Int64) async throws -> Int64 {
        while true {
            let seen = transactions
            let end = try await pool.read { database in try Int64.fetchOne(database, sql: "SELECT max(position) FROM row") ?? 0 }
            if end > position || Task.isCancelled { return end }
            await transaction(after: seen)
        }
    }
}
