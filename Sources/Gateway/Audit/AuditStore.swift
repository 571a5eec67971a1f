import GRDB
import Glibc
import Logging
import Persistence
import Synchronization

/// The journal's projection for queries: `audit.db`, filled behind the journal by one background task that takes what
/// gathers in a moment as one transaction, and rebuilt from the journal when it is behind or gone. Whoever reads is served
/// everything that was journaled before.
public final class AuditStore: Sendable {
    private let database: DatabaseFile
    private let reader: AuditReader
    private let batching: Duration
    private let logger: Logger
    private let queue = Mutex(AuditQueue())
    /// Grows when a batch must not gather any longer.
    private let urgency = Milestone()
    /// The last round that ended.
    private let rounds = Milestone()
    private let commits = Milestone()
    private let signal: AsyncStream<Void>.Continuation
    private let signals: AsyncStream<Void>
    private let task = Mutex<Task<Void, Never>?>(nil)

    /// Opens the projection; one that is damaged or of another version is made anew, since the journal has everything.
    ///
    /// - Parameter batching: how long a row waits for others, unless a reader or a full batch hurries it. A transaction a row
    ///   was two fifths of the gateway's CPU at one session.
    public init(
        path: String, journal directory: String, batching: Duration = .milliseconds(75),
        logger: Logger = Logger(label: "audit") { _ in SwiftLogNoOpLogHandler() }
    ) throws {
        do throws(StateError) {
            database = try DatabaseFile(path, migrations: Self.migrations, durability: .normal, keepsBackups: false)
        } catch {
            guard error.code == .damaged || error.code == .newerVersion else { throw error }
            for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) }
            database = try DatabaseFile(path, migrations: Self.migrations, durability: .normal, keepsBackups: false)
        }
        reader = AuditReader(directory: directory)
        self.batching = batching
        self.logger = logger
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    var pool: DatabasePool { database.pool }

    /// Transactions that wrote rows since it was opened.
    var transactions: Int64 { commits.value }

    /// Returns when there was one more than `seen`, or when the task is cancelled.
    func transaction(after seen: Int64) async { await commits.reach(seen + 1) }

    /// Catches up with the journal, then follows it, both in the background until ``close()``: whoever reads waits for it, and
    /// nobody else. A projection that cannot be written is logged and tried again: the journal is what counts.
    public func begin() {
        task.withLock { task in
            guard task == nil else { return }
            task = Task { [self] in
                await project()
                for await _ in signals {
                    await gather()
                    await project()
                }
            }
        }
    }

    /// The same, and returns when it has caught up or cannot.
    public func start() async {
        begin()
        await rounds.reach(1)
    }

    /// Stops following; what waits is written first.
    public func close() async {
        signal.finish()
        obey(queue.withLock { $0.hurry() })
        let task = task.withLock { task in
            defer { task = nil }
            return task
        }
        await task?.value
        await project()
        queue.withLock { $0.close() }
        rounds.advance(to: .max)
        try? database.pool.close()
    }

    /// Takes rows that the journal holds already; from any thread, never waiting.
    public func enqueue(_ rows: [AuditRow]) { obey(queue.withLock { $0.add(rows) }) }

    /// Returns when every row enqueued before is in the projection (or failed to get there).
    public func settled() async {
        guard task.withLock({ $0 != nil }), let (round, action) = queue.withLock({ $0.request() }) else { return }
        obey(action)
        await rounds.reach(round)
    }

    private func obey(_ action: AuditQueue.Action) {
        switch action {
        case .nothing: return
        case .wake: break
        case .hurry: urgency.increment()
        }
        signal.yield()
    }

    /// Lets a batch grow for a moment, or until somebody hurries.
    private func gather() async {
        let seen = urgency.value
        guard !queue.withLock({ $0.isUrgent }) else { return }
        await withTaskGroup { group in
            group.addTask { [batching] in try? await Task.sleep(for: batching) }
            group.addTask { [urgency] in await urgency.reach(seen + 1) }
            await group.next()
            group.cancelAll()
        }
    }

    /// One round: everything that waits, in one transaction (or a few, from the journal). Answers why it failed; then the
    /// next round reads the journal.
    @discardableResult
    private func project() async -> (any Error)? {
        let batch = queue.withLock { $0.take() }
        var failure: (any Error)?
        do {
            if batch.isBehind { try await catchUp() } else if !batch.rows.isEmpty { try await insert(batch.rows) }
            if queue.withLock({ $0.succeeded(batch) }) { logger.notice("the audit projection can be written again") }
        } catch {
            failure = error
            if queue.withLock({ $0.failed() }) {
                logger.error("the audit projection cannot be written; the log itself is whole", metadata: ["error": "\(error)"])
            }
        }
        rounds.advance(to: batch.round)
        return failure
    }

    private func catchUp() async throws {
        for chain in try reader.segments.list().keys.sorted() {
            let last = try await database.pool.read { database in
                try Int64.fetchOne(database, sql: "SELECT max(chain_sequence) FROM row WHERE chain = ?", arguments: [chain])
            }
            try await reader.rows(of: chain, after: last ?? 0) { rows in try await insert(rows) }
        }
    }

    private func insert(_ rows: [AuditRow]) async throws {
        try await database.pool.write { try AuditStore.insert(rows, $0) }
        commits.increment()
    }

    /// Which of these calls have a row.
    func known(_ calls: Set<String>) async throws -> Set<String> {
        await settled()
        return try await database.pool.read { database in
            var rest = Array(calls)[...]
            var known: Set<String> = []
            while !rest.isEmpty {
                known.formUnion(try AuditStore.known(Array(rest.prefix(500)), database))
                rest = rest.dropFirst(500)
            }
            return known
        }
    }

    /// The row that says who opened a session last.
    func connection(of session: String) async throws -> AuditRow? {
        try await database.pool.read { database in
            try Row.fetchOne(
                database, sql: "SELECT * FROM row WHERE session = ? AND method = 'connected' ORDER BY position DESC LIMIT 1", arguments: [session]
            ).map { AuditStore.entry($0).row }
        }
    }
}
