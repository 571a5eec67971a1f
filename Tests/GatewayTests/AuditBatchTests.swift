import Foundation
import GRDB
import Testing

@testable import Gateway

/// How rows gather into transactions. Where batches wait "for ever", only what a test does can end the wait.
@Suite("audit batches")
struct AuditBatchTests {
    let fixture: AuditFixture

    init() throws { fixture = try AuditFixture() }

    private func store(batching: Duration = .seconds(100_000)) throws -> AuditStore {
        try AuditStore(path: fixture.database, journal: fixture.directory, batching: batching)
    }

    @Test func aReaderSeesWhatWasAppendedBefore() async throws {
        let store = try store()
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        for number in 1...20 {
            try journal.append(AuditFixture.call(number))
            #expect(try await store.tail(limit: 1).map(\.row.sequence) == [Int64(number)])
        }
        let transactions = store.transactions
        #expect(try await store.tail(limit: 100).count == 20)
        #expect(store.transactions == transactions, "nothing waits: nothing is written")
        await store.close()
    }

    @Test func manyReadersAtOnce() async throws {
        let store = try store()
        let writer = try Writer(fixture, store)
        await store.start()
        try await withThrowingTaskGroup { group in
            for reader in 1...16 {
                group.addTask {
                    for number in 1...10 {
                        let own = try await writer.append(AuditFixture.call(reader * 100 + number))
                        let seen = try await store.tail(limit: 1_000).map(\.row.sequence)
                        #expect(seen.contains(own))
                    }
                }
            }
            try await group.waitForAll()
        }
        await store.close()
    }

    @Test func rowsOneByOneAreFewTransactions() async throws {
        let store = try store()
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        for number in 1...1_000 { try journal.append(AuditFixture.call(number)) }
        #expect(try await store.tail(limit: 2_000).count == 1_000)
        #expect(store.transactions <= 1_000 / Int64(AuditQueue.fullBatch) + 1)
        await store.close()
    }

    @Test func aFullBatchWaitsForNobody() async throws {
        let store = try store()
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        for number in 1...AuditQueue.fullBatch { try journal.append(AuditFixture.call(number)) }
        await store.transaction(after: 0)
        #expect(store.transactions == 1)
        await store.close()
    }

    @Test func aBatchIsWrittenAfterAMoment() async throws {
        let store = try store(batching: .milliseconds(20))
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        for round: Int64 in 0..<3 {
            try journal.append(AuditFixture.call(1))
            await store.transaction(after: round)
        }
        await store.close()
    }

    /// The end of the process writes what waits: it is there without the journal.
    @Test func closingWritesWhatWaits() async throws {
        let store = try store()
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        for number in 1...5 { try journal.append(AuditFixture.call(number)) }
        await store.close()
        await store.settled()
        try FileManager.default.removeItem(atPath: fixture.directory)
        try FileManager.default.createDirectory(atPath: fixture.directory, withIntermediateDirectories: true)
        let next = try self.store()
        #expect(try await next.tail(limit: 10).count == 5)
        await next.close()
    }

    /// A process that dies before its batch was written: the next one reads the journal.
    @Test func whatWaitedAtAKillIsReadFromTheJournal() async throws {
        let dead = try store()
        let journal = try fixture.journal { dead.enqueue($0) }
        await dead.start()
        for number in 1...5 { try journal.append(AuditFixture.call(number)) }
        #expect(dead.transactions == 0)
        let next = try store()
        await next.start()
        #expect(try await next.tail(limit: 10).map(\.row.sequence) == Array(1...5))
        await next.close()
        await dead.close()
    }

    /// Rows that could not be projected are there as soon as a reader comes and they can.
    @Test func aFailedBatchIsMadeUpFor() async throws {
        let store = try store()
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        try await store.pool.write { try $0.execute(sql: "ALTER TABLE row RENAME TO away") }
        try journal.append(AuditFixture.call(1))
        await store.settled()
        #expect(store.transactions == 0)
        try journal.append(AuditFixture.call(2))
        try await store.pool.write { try $0.execute(sql: "ALTER TABLE away RENAME TO row") }
        #expect(try await store.tail(limit: 10).map(\.row.sequence) == [1, 2])
        await store.close()
    }
}

/// The loop of a journal.
private actor Writer {
    private let journal: AuditJournal

    init(_ fixture: AuditFixture, _ store: AuditStore) throws { journal = try fixture.journal { store.enqueue($0) } }

    func append(_ row: AuditRow) throws -> Int64 { try journal.append(row).sequence }
}
