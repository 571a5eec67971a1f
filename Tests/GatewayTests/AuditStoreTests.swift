import Foundation
import Gateway
import JSONText
import Testing

@Suite("audit projection")
struct AuditStoreTests {
    let fixture: AuditFixture

    init() throws { fixture = try AuditFixture() }

    private func store() throws -> AuditStore { try AuditStore(path: fixture.database, journal: fixture.directory) }

    @Test func rowsAreProjectedWholeAndInOrder() async throws {
        let store = try store()
        let journal = try fixture.journal { store.enqueue($0) }
        let before = try journal.append(AuditFixture.call(1))
        await store.start()
        let after = try journal.append((2...10).map { AuditFixture.call($0, payload: $0 % 2 == 0) })
        let entries = try await store.tail(limit: 100)
        #expect(entries.map(\.row) == [before] + after)
        #expect(entries.map(\.position) == Array(1...10))
        #expect(try await store.tail(limit: 3).map(\.row.sequence) == [8, 9, 10])
        await store.close()
    }

    @Test func theAnswerHasThePayloadsAsJSON() async throws {
        let store = try store()
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        try journal.append(AuditFixture.call(3))
        let json = try #require(try await store.tail(limit: 1).first).json
        #expect(json["sequence"] == 1 && json["outcome"] == "allowed" && json["tool"] == "forecast" && json["exposed_tool"] == "weather_forecast")
        #expect(json["arguments"]?["city"] == "Bern 3")
        #expect(json["result"] == .string("{\"content\":[]") && json["result_truncated"] == true)
        #expect(json["latency_us"] == 3 && json["reason"]?.stringValue?.contains("é") == true && json["token"] == nil)
        await store.close()
    }

    @Test func itIsRebuiltFromTheJournal() async throws {
        do {
            let journal = try fixture.journal(segmentSize: 3_000)
            for number in 1...60 { try journal.append(AuditFixture.call(number)) }
            try fixture.journal(chain: "control").append(AuditRow(method: "connectors/add", outcome: .allowed, principal: "local:root"))
        }
        var store = try store()
        await store.start()
        let first = try await store.tail(limit: 1_000)
        #expect(first.count == 61 && Set(first.map(\.row.chain)) == ["l0", "control"])
        #expect(first.filter { $0.row.chain == "l0" }.map(\.row.sequence) == Array(1...60))
        #expect(first.last?.row.arguments != nil)
        await store.close()

        // Behind: rows were written while nobody projected.
        do {
            let journal = try fixture.journal(segmentSize: 3_000)
            for number in 61...90 { try journal.append(AuditFixture.call(number)) }
        }
        store = try self.store()
        await store.start()
        #expect(try await store.tail(limit: 1_000).count == 91)
        await store.close()

        // Damaged: made anew.
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: fixture.database + suffix) }
        try Data(repeating: 0x61, count: 9_000).write(to: URL(fileURLWithPath: fixture.database))
        store = try self.store()
        await store.start()
        #expect(try await store.tail(limit: 1_000).count == 91)
        await store.close()
    }

    @Test func aBurstBeyondTheQueueIsReadFromTheJournal() async throws {
        let store = try store()
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        for batch in 0..<30 {
            try journal.append((0..<500).map { AuditFixture.call(batch * 500 + $0, payload: false) })
        }
        let entries = try await store.tail(limit: 20_000)
        #expect(Set(entries.map(\.row.sequence)) == Set(1...15_000))
        #expect(entries.count == 15_000)
        await store.close()
    }
}
