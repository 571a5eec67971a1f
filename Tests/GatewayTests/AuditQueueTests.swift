import Testing

@testable import Gateway

@Suite("audit queue")
struct AuditQueueTests {
    private static func rows(_ count: Int) -> [AuditRow] { (0..<count).map { AuditFixture.call($0, payload: false) } }

    private static func caughtUp() -> AuditQueue {
        var queue = AuditQueue()
        _ = queue.succeeded(queue.take())
        return queue
    }

    @Test func theFirstRowWakesAndAFullBatchHurries() {
        var queue = Self.caughtUp()
        var actions = [1, 1, AuditQueue.fullBatch - 3].map { queue.add(Self.rows($0)) }
        #expect(actions == [.wake, .nothing, .nothing] && !queue.isUrgent)
        actions = [1, 1].map { queue.add(Self.rows($0)) }
        #expect(actions == [.hurry, .nothing] && queue.isUrgent)
        let batch = queue.take()
        #expect(batch.rows.count == AuditQueue.fullBatch + 1 && !batch.isBehind)
        let next = queue.add(Self.rows(1))
        #expect(next == .wake && !queue.isUrgent, "a round that has begun does not take it")
    }

    @Test func aRequestNamesTheRoundThatHasEverything() {
        var queue = Self.caughtUp()
        let nothing = queue.request()
        #expect(nothing == nil)
        _ = queue.add(Self.rows(1))
        let requests = [queue.request(), queue.request()]
        #expect(requests.map { $0?.action } == [.hurry, .nothing])
        let batch = queue.take()
        #expect(requests.allSatisfy { $0?.round == batch.round })
        // Its rows are on their way, but not there: only a later round is sure.
        let during = queue.request()
        #expect(during?.round == batch.round + 1)
        _ = queue.succeeded(batch)
        let after = queue.request()
        #expect(after == nil)
    }

    /// At the gateway's start the journal is read while somebody may ask already.
    @Test func whoAsksWhileTheJournalIsReadWaitsForIt() {
        var queue = AuditQueue()
        let batch = queue.take()
        #expect(batch.isBehind)
        let during = queue.request()
        #expect(during?.round == batch.round + 1)
        _ = queue.succeeded(batch)
        let after = queue.request()
        #expect(after == nil)
    }

    @Test func whatDoesNotFitIsReadFromTheJournal() {
        var queue = Self.caughtUp()
        let actions = [AuditQueue.maximumWaiting, 1].map { queue.add(Self.rows($0)) }
        #expect(actions == [.hurry, .nothing])
        let batch = queue.take()
        #expect(batch.isBehind && batch.rows.isEmpty)
    }

    @Test func aFailureIsToldOnceAndMadeUpFor() {
        var queue = Self.caughtUp()
        _ = queue.add(Self.rows(1))
        _ = queue.take()
        let isNew = queue.failed()
        #expect(isNew)
        let request = queue.request()
        #expect(request?.action == .hurry)
        let batch = queue.take()
        #expect(batch.isBehind && batch.rows.isEmpty)
        let isNewAgain = queue.failed()
        #expect(!isNewAgain)
        let recoveries = (0..<2).map { _ in queue.succeeded(queue.take()) }
        #expect(recoveries == [true, false])
    }

    @Test func aClosedQueueLetsNobodyWait() {
        var queue = Self.caughtUp()
        queue.close()
        _ = queue.add(Self.rows(1))
        let request = queue.request()
        #expect(request == nil)
    }
}
