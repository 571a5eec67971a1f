import Testing

@testable import Gateway

@Suite("audit pages")
struct AuditPagesTests {
    let fixture: AuditFixture

    init() throws { fixture = try AuditFixture() }

    /// A store and its journal for the length of `body`.
    private func with(_ body: (AuditStore, AuditJournal) async throws -> Void) async throws {
        let store = try AuditStore(path: fixture.database, journal: fixture.directory)
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        try await body(store, journal)
        await store.close()
    }

    private static func row(_ number: Int) -> AuditRow {
        var row = AuditFixture.call(number, payload: false)
        if number % 10 == 0 { row.method = "prompts/get" }
        if number % 4 == 0 { row.principal = "bob" }
        return row
    }

    @Test func noPageIsLongerThanItsBound() async throws {
        try await with { store, journal in
            try journal.append((1...1_000).map(Self.row))
            var sizes: [Int] = []
            var sequences: [Int64] = []
            for try await page in try await store.rows(last: 950) {
                sizes.append(page.count)
                sequences += page.map(\.row.sequence)
            }
            #expect(sequences == Array(51...1_000))
            #expect(sizes == Array(repeating: AuditStore.pageSize, count: 9) + [50])
        }
    }

    @Test func rowsThatComeWhileItIsReadAreNotPartOfATail() async throws {
        try await with { store, journal in
            try journal.append((1...150).map(Self.row))
            var seen = 0
            for try await page in try await store.rows(last: 1_000) {
                seen += page.count
                try journal.append((1...100).map(Self.row))
                await store.settled()
            }
            #expect(seen == 150)
        }
    }

    @Test func filters() async throws {
        try await with { store, journal in
            try journal.append((1...1_000).map(Self.row))
            let prompts = try await store.tail(limit: 3, AuditFilter(method: "prompts/get"))
            #expect(prompts.map(\.row.sequence) == [980, 990, 1_000])
            #expect(try await store.tail(limit: 1_000, AuditFilter(method: "prompts/get")).count == 100)
            let both = try await store.tail(limit: 2, AuditFilter(method: "prompts/get", principal: "bob"))
            #expect(both.map(\.row.sequence) == [980, 1_000])
            #expect(try await store.tail(limit: 9, AuditFilter(method: "nothing")).isEmpty)
            #expect(try await store.tail(limit: 9, AuditFilter(principal: "' OR '1'='1")).isEmpty)
        }
    }

    /// What was, and what comes, of the rows that were asked for alone.
    @Test(arguments: [nil, "prompts/get"]) func followers(_ method: String?) async throws {
        try await with { store, journal in
            try journal.append((1...30).map(Self.row))
            let (seen, told) = AsyncStream.makeStream(of: Int64.self)
            let follower = Task {
                defer { told.finish() }
                for try await page in try await store.rows(last: 2, matching: AuditFilter(method: method), follows: true) {
                    for entry in page { told.yield(entry.row.sequence) }
                }
            }
            var iterator = seen.makeAsyncIterator()
            for number: Int64 in method == nil ? [29, 30] : [20, 30] { #expect(await iterator.next() == number) }
            for number in 31...39 { try journal.append(Self.row(number)) }
            try journal.append([Self.row(40), Self.row(41)])
            for number: Int64 in method == nil ? Array(31...41) : [40] { #expect(await iterator.next() == number) }
            // Long waits and many pages in between.
            try journal.append((42...550).map(Self.row))
            let rest = (42...550).filter { method == nil || $0 % 10 == 0 }.map(Int64.init)
            for number in rest { #expect(await iterator.next() == number) }
            follower.cancel()
            #expect(await iterator.next() == nil, "a cancelled follower ends")
        }
    }

    @Test func anEmptyLogCanBeFollowed() async throws {
        try await with { store, journal in
            #expect(try await store.tail(limit: 10).isEmpty)
            var pages = try await store.rows(last: 10, follows: true).makeAsyncIterator()
            try journal.append(Self.row(1))
            #expect(try await pages.next()?.map(\.row.sequence) == [1])
        }
    }
}
