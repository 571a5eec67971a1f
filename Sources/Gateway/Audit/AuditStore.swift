import GRDB
import Glibc
import Persistence
import Synchronization

/// The journal's projection for queries: `audit.db`, filled behind the journal by one background task that takes whatever
/// waits, and rebuilt from the journal when it is behind or gone.
public final class AuditStore: Sendable {
    private struct Queue {
        var rows: [AuditRow] = []
        /// Rows ever enqueued.
        var enqueued: Int64 = 0
        /// Rows were dropped here; they are read from the journal instead.
        var isBehind = true
    }

    /// Rows that may wait in memory; beyond that the journal on disk is the queue.
    static let maximumWaiting = 4_096

    private let database: DatabaseFile
    private let reader: AuditReader
    private let queue = Mutex(Queue())
    private let drained = Milestone()
    private let commits = Milestone()
    private let signal: AsyncStream<Void>.Continuation
    private let signals: AsyncStream<Void>
    private let task = Mutex<Task<Void, Never>?>(nil)
    private let failure = Mutex<String?>(nil)

    /// Opens the projection; one that is damaged or of another version is made anew, since the journal has everything.
    public init(path: String, journal directory: String) throws {
        do throws(StateError) {
            database = try DatabaseFile(path, migrations: Self.migrations, durability: .normal)
        } catch {
            guard error.code == .damaged || error.code == .newerVersion else { throw error }
            for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) }
            database = try DatabaseFile(path, migrations: Self.migrations, durability: .normal)
        }
        reader = AuditReader(directory: directory)
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Why the last write to the projection failed; nil when it did not. The journal is not concerned.
    public var lastFailure: String? { failure.withLock { $0 } }

    /// Catches up with the journal, then follows it in the background until ``close()``.
    public func start() async throws {
        await drain()
        if let lastFailure { throw StateError(.failed, "the audit projection: \(lastFailure)") }
        task.withLock { task in
            guard task == nil else { return }
            task = Task { [self] in
                for await _ in signals { await drain() }
            }
            signal.yield()
        }
    }

    /// Stops following; what waits is written first.
    public func close() async {
        signal.finish()
        let task = task.withLock { task in
            defer { task = nil }
            return task
        }
        await task?.value
        await drain()
        try? database.pool.close()
    }

    /// Takes rows that the journal holds already; from any thread, never waiting.
    public func enqueue(_ rows: [AuditRow]) {
        queue.withLock { queue in
            queue.enqueued += Int64(rows.count)
            guard !queue.isBehind else { return }
            if queue.rows.count + rows.count > Self.maximumWaiting {
                queue.rows = []
                queue.isBehind = true
            } else {
                queue.rows.append(contentsOf: rows)
            }
        }
        signal.yield()
    }

    /// Returns when every row enqueued before is in the projection (or failed to get there).
    public func settled() async {
        guard task.withLock({ $0 != nil }) else { return }
        await drained.reach(queue.withLock { $0.enqueued })
    }

    private func drain() async {
        let (rows, behind, enqueued) = queue.withLock { queue in
            let taken = (queue.rows, queue.isBehind, queue.enqueued)
            queue.rows = []
            queue.isBehind = false
            return taken
        }
        do {
            if behind { try await catchUp() } else if !rows.isEmpty { try await insert(rows) }
            failure.withLock { $0 = nil }
        } catch {
            failure.withLock { $0 = "\(error)" }
            queue.withLock { queue in
                queue.rows = []
                queue.isBehind = true
            }
        }
        drained.advance(to: enqueued)
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

    // MARK: Queries

    /// The last rows, oldest first; of one method, where given.
    public func tail(limit: Int, method: String? = nil) async throws -> [AuditEntry] {
        await settled()
        return try await database.pool.read { try AuditStore.tail(limit, method, $0) }
    }

    /// Rows after a position, oldest first.
    public func rows(after position: Int64, limit: Int = 500) async throws -> [AuditEntry] {
        try await database.pool.read { try AuditStore.rows(after: position, limit, $0) }
    }

    /// Every row after a position, those to come included; pulled, so a slow reader costs nothing. Ends when cancelled.
    public func follow(after position: Int64) -> AsyncThrowingStream<AuditEntry, any Error> {
        let page = Page(after: position)
        return AsyncThrowingStream { [self] in
            while !Task.isCancelled {
                if let entry = await page.next() { return entry }
                let seen = commits.value
                let entries = try await rows(after: page.position)
                if entries.isEmpty { await commits.reach(seen + 1) } else { await page.fill(entries) }
            }
            return nil
        }
    }

    /// What a follower has read and not yet given.
    private actor Page {
        private var entries: ArraySlice<AuditEntry> = []
        private(set) var position: Int64

        init(after position: Int64) { self.position = position }

        func next() -> AuditEntry? { entries.popFirst() }

        func fill(_ entries: [AuditEntry]) {
            self.entries = entries[...]
            position = entries.last?.position ?? position
        }
    }
}
