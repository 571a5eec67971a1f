import Door
import Foundation
import GRDB
import Logging
import Persistence
import Sealing
import Testing

@testable import Orchestrator

/// What is counted of connections outwards, and what is kept of that.
struct EgressBookTests {
    static func store(in directory: String) throws -> MachineStore {
        _ = try StateDirectory(directory)
        return MachineStore(
            database: try DatabaseFile(directory + "/orchestrator.db", migrations: OrchestratorSchema.migrations),
            keys: try KeyRing(path: directory + "/keys"))
    }

    private func withStore(_ body: (MachineStore, String) async throws -> Void) async throws {
        let directory = "/tmp/berth-book-" + String(UInt64.random(in: 0..<1 << 48), radix: 36)
        defer { try? Files.removeTree(directory) }
        let store = try Self.store(in: directory)
        try await body(store, directory)
        try store.database.pool.close()
    }

    private var logger: Logger {
        var logger = Logger(label: "book-test")
        logger.logLevel = .critical
        return logger
    }

    private func refusal(_ host: String, _ port: Int = 443, _ reason: EgressRefusal.Reason = .notAllowed) -> EgressOutcome {
        .refused(EgressRefusal(host: host, port: port, reason: reason))
    }

    private func told(_ counts: [EgressCount]) -> Set<String> {
        Set(counts.map { "\($0.place.verdict) \($0.place.host):\($0.place.port) \($0.count)" })
    }

    @Test("counts of an app through books and orchestrators, each written once")
    func kept() async throws {
        try await withStore { (store, _) async throws in
            for app in ["web", "other"] { try await store.add(app: app) }
            let first = EgressBook(store: store, logger: logger)
            first.record(refusal("a.example"), of: "web", times: 2)
            first.record(.reached(host: "b.example", port: 443), of: "web", times: 1)
            first.record(refusal("a.example"), of: "other", times: 5)
            let begun = try await first.counts(of: "web")
            #expect(told(begun) == ["not_allowed a.example:443 2", "reached b.example:443 1"])
            first.record(refusal("a.example"), of: "web", times: 1)
            first.record(refusal("a.example", 443, .unreachable), of: "web", times: 1)
            await first.end()
            first.record(refusal("a.example"), of: "web", times: 100)

            let second = EgressBook(store: store, logger: logger)
            second.record(.reached(host: "b.example", port: 443), of: "web", times: 1)
            let counts = try await second.counts(of: "web")
            #expect(told(counts) == ["not_allowed a.example:443 3", "unreachable a.example:443 1", "reached b.example:443 2"])
            #expect(counts.allSatisfy { $0.first <= $0.last && $0.first > 0 })
            #expect(told(try await second.counts(of: "other")) == ["not_allowed a.example:443 5"])
            await second.end()
        }
    }

    @Test("what waits is written by itself")
    func written() async throws {
        try await withStore { (store, _) async throws in
            try await store.add(app: "web")
            let book = EgressBook(store: store, logger: logger)
            book.record(refusal("a.example"), of: "web", times: 1)
            _ = try await eventually("the row") { try await store.egressCounts(of: "web").isEmpty ? nil : true } as Bool
            book.record(refusal("a.example"), of: "web", times: 1)
            _ = try await eventually("the second") { try await store.egressCounts(of: "web").first?.count == 2 ? true : nil } as Bool
            await book.end()
        }
    }

    @Test("256 places refused and 256 reached for an app, the rest in one number each, however it comes")
    func bounded() async throws {
        try await withStore { (store, _) async throws in
            try await store.add(app: "web")
            let book = EgressBook(store: store, logger: logger)
            for number in 0..<2_000 { book.record(refusal("h\(number).example"), of: "web", times: 3) }
            var counts = try await book.counts(of: "web")
            let all = counts.map(\.count)
            #expect(all.count == 257 && all.reduce(0, +) == 6_000)
            for number in 0..<300 { book.record(.reached(host: "r\(number).example", port: 443), of: "web", times: 1) }
            counts = try await book.counts(of: "web")
            let reached = counts.filter { $0.place.isReached }.map(\.count)
            #expect(reached.count == 257 && reached.reduce(0, +) == 300)
            let others = counts.filter { $0.place == $0.place.others }.map(\.count)
            let expected = 6_000 - 256 * 3 + 44
            #expect(others.reduce(0, +) == expected)
            // One that has a row is counted in it for ever.
            let known = try #require(counts.first { !$0.place.isReached && !$0.place.host.isEmpty })
            book.record(refusal(known.place.host), of: "web", times: 7)
            let again = try await book.counts(of: "web").first { $0.place == known.place }
            #expect(again?.count == known.count + 7)
            await book.end()
        }
    }

    @Test("of an app that is gone nothing is kept, and nothing is in the way of others'")
    func goneApp() async throws {
        try await withStore { (store, _) async throws in
            for app in ["web", "other"] { try await store.add(app: app) }
            let book = EgressBook(store: store, logger: logger)
            book.record(refusal("a.example"), of: "web", times: 1)
            #expect(try await book.counts(of: "web").count == 1)
            try await store.write { try $0.execute(sql: "DELETE FROM apps WHERE name = 'web'") }
            book.record(refusal("a.example"), of: "web", times: 1)
            book.record(refusal("a.example"), of: "other", times: 1)
            #expect(try await book.counts(of: "other").count == 1)
            #expect(try await store.egressCounts(of: "web").isEmpty)
            await book.end()
        }
    }
}

extension MachineStore {
    /// An app without anything.
    func add(app name: String) async throws {
        let app = AppRecord(name: name, id: MachineID.random(), org: "acme", network: nil, isDeleting: false, createdAt: 1)
        _ = try await createApp(app, root: try AppRoot(secret: Secret([UInt8](repeating: 3, count: 32))))
    }
}
