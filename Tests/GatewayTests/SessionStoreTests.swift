import GRDB
import Persistence
import Sealing
import Testing

@testable import Gateway

@Suite("session rows")
struct SessionStoreTests {
    let fixture: ProvisioningFixture
    private var store: SessionStore { fixture.plane.sessions }
    private static let legacy = Base64URL.encode([UInt8](repeating: 7, count: 16))

    init() throws { fixture = try ProvisioningFixture() }

    private func pin(_ session: String, epoch: Int = 1) -> Pin { Pin(session: session, connector: "c", epoch: epoch, machine: "m", boot: "b") }

    private func open() async throws {
        try await store.insert(
            ClientSession(
                id: Self.legacy, principal: "alice", virtualMCP: "office", protocolVersion: "2025-11-25", capabilities: "{}", clientInfo: "{}",
                createdAt: WallClock.milliseconds()))
    }

    /// How often anything was written; a row of a trigger's table each.
    private func writes() async throws -> Int { try await fixture.count("touched") }

    @Test func onlyItsOwnersLookIsWrittenAndSeldom() async throws {
        try await open()
        try await fixture.execute(
            """
            CREATE TABLE touched (id TEXT);
            CREATE TRIGGER touch AFTER UPDATE ON sessions BEGIN INSERT INTO touched VALUES (NEW.id); END;
            UPDATE sessions SET usedAt = 1; DELETE FROM touched;
            """)
        let others = [("x" + Self.legacy.dropFirst(), "alice", "office"), (Self.legacy, "bob", "office"), (Self.legacy, "alice", "lab")]
        for (id, principal, slug) in others {
            #expect(try await store.session(id: id, principal: principal, virtualMCP: slug) == nil)
        }
        #expect(try await writes() == 0)
        for _ in 1...3 {
            #expect(try await store.session(id: Self.legacy, principal: "alice", virtualMCP: "office")?.id == Self.legacy)
            #expect(try await writes() == 1)
        }
        let usedAt = try await fixture.database.pool.read { try Int64.fetchOne($0, sql: "SELECT usedAt FROM sessions") }
        #expect(usedAt ?? 0 > WallClock.milliseconds() - 60_000)
    }

    @Test func aSessionInUseIsNotForgotten() async throws {
        try await open()
        try await fixture.execute("UPDATE sessions SET usedAt = 1")
        _ = try await store.pin(pin(Self.legacy))
        try await fixture.plane.sessionsUsed([Self.legacy, "gone"])
        try await store.prune(before: WallClock.milliseconds() - 60_000)
        #expect(try await fixture.count("sessions") == 1)
        #expect(try await fixture.count("pins") == 1)
    }

    /// A search may end after the session that it was for.
    @Test func anEndedSessionIsNotPinned() async throws {
        try await open()
        #expect(try await store.pin(pin(Self.legacy)) == pin(Self.legacy))
        #expect(try await fixture.count("pins") == 1)
        try await store.end(id: Self.legacy)
        #expect(try await store.pin(pin(Self.legacy)) == pin(Self.legacy))
        #expect(try await fixture.count("pins") == 0)
        // A modern client's key has no row.
        _ = try await store.pin(pin("m" + Base64URL.encode([UInt8](repeating: 7, count: 32))))
        #expect(try await fixture.count("pins") == 1)
    }

    @Test func pinsWithoutASessionGoWithTime() async throws {
        try await open()
        _ = try await store.pin(pin(Self.legacy))
        _ = try await store.pin(pin("modern"))
        let now = WallClock.milliseconds()
        try await store.prune(before: now - 60_000)
        #expect(try await fixture.count("pins") == 2)
        try await fixture.execute("UPDATE pins SET takenAt = \(now - 120_000)")
        try await store.prune(before: now - 60_000)
        #expect(try await store.pin(session: Self.legacy, connector: "c") != nil, "its session is there")
        #expect(try await fixture.count("pins") == 1)
    }
}
