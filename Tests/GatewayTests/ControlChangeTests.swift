import GRDB
import Persistence
import TestSupport
import Testing

@testable import Gateway

/// What is committed takes effect, whatever happens to whoever asked for it.
@Suite("control plane: changes take effect", .timeLimit(.minutes(5)))
struct ControlChangeTests {
    let fixture: ProvisioningFixture
    private var plane: ControlPlane { fixture.plane }

    init() throws { fixture = try ProvisioningFixture() }

    /// Cancels a task once anything has been committed.
    private final class Canceller: TransactionObserver, Sendable {
        let task = Locked<Task<Void, Never>?>(nil)
        func observes(eventsOfKind eventKind: DatabaseEventKind) -> Bool { true }
        func databaseDidChange(with event: DatabaseEvent) {}
        func databaseDidCommit(_ db: Database) { task.withLockedValue { $0 }?.cancel() }
        func databaseDidRollback(_ db: Database) {}
    }

    /// - Parameter body: cancelled as soon as it has committed something.
    private func leavingAfterCommit(_ body: @escaping @Sendable (ControlPlane) async throws -> Void) async throws {
        let canceller = Canceller()
        fixture.database.pool.add(transactionObserver: canceller, extent: .databaseLifetime)
        let (begin, continuation) = AsyncStream.makeStream(of: Void.self)
        let task = Task { [plane] in
            for await _ in begin { break }
            do { try await body(plane) } catch {}
        }
        canceller.task.withLockedValue { $0 = task }
        continuation.yield()
        await task.value
        #expect(task.isCancelled)
        canceller.task.withLockedValue { $0 = nil }
        fixture.database.pool.remove(transactionObserver: canceller)
    }

    private var published: Directory { fixture.published.withLockedValue { $0 } }
    private var ended: [String] { fixture.ended.withLockedValue { $0 } }

    /// A connector in a virtual MCP, and the token's id.
    private func office() async throws -> String {
        try await fixture.add()
        try await plane.putVirtualMCP("office", connectors: ["mine"], replacing: false)
        let id = try await plane.createToken(principal: "alice", slug: "office", expiresIn: nil).record.id
        #expect(published.grants.values.map(\.tokenID) == [id] && published.virtualMCPs["office"]?.tools.count == 1)
        return id
    }

    // MARK: The caller goes away

    @Test func aRevocation() async throws {
        let id = try await office()
        try await leavingAfterCommit { try await $0.revokeToken(id) }
        #expect(published.grants.isEmpty && ended == ["token \(id)"])
    }

    @Test func theRemovalOfAVirtualMCP() async throws {
        _ = try await office()
        try await leavingAfterCommit { try await $0.removeVirtualMCP("office") }
        #expect(published.virtualMCPs.isEmpty && ended == ["virtual MCP office"])
    }

    @Test func aVirtualMCPAndAToken() async throws {
        _ = try await office()
        try await leavingAfterCommit { try await $0.putVirtualMCP("lab", connectors: ["mine"], replacing: false) }
        #expect(published.virtualMCPs.keys.sorted() == ["lab", "office"])
        try await leavingAfterCommit { _ = try await $0.createToken(principal: "bob", slug: "lab", expiresIn: nil) }
        #expect(published.grants.values.map(\.principal).sorted() == ["alice", "bob"])
    }

    // MARK: No directory

    @Test func whatIsRevokedEndsThoughNoDirectoryCanBeMade() async throws {
        let id = try await office()
        try await fixture.execute("ALTER TABLE virtualMCPs RENAME TO away")
        await #expect(throws: DatabaseError.self) { try await plane.revokeToken(id) }
        #expect(ended == ["token \(id)"])
        #expect(!published.grants.isEmpty)
        try await fixture.execute("ALTER TABLE away RENAME TO virtualMCPs")
        // Revoked already, and only now without effect.
        let again = await #expect(throws: ProvisioningFailure.self) { try await plane.revokeToken(id) }
        #expect(again?.error == "not_found")
        #expect(published.grants.isEmpty)
    }

    @Test func aListThatCannotBeReadKeepsNothingElseBack() async throws {
        let id = try await office()
        try await fixture.add("other")
        try await plane.putVirtualMCP("lab", connectors: ["other"], replacing: false)
        try await fixture.execute("UPDATE connectors SET tools = x'7b' WHERE name = 'mine'")
        try await plane.revokeToken(id)
        #expect(published.grants.isEmpty)
        #expect(published.virtualMCPs["office"]?.tools.isEmpty == true && published.virtualMCPs["lab"]?.tools.count == 1)
    }

    // MARK: Start and end

    @Test func theEndWaitsForWhatIsCommitted() async throws {
        try await fixture.add()
        let (drains, began) = AsyncStream.makeStream(of: Void.self)
        fixture.onDrain.withLockedValue { hook in
            hook = {
                began.yield()
                for _ in 0..<1_000 { await Task.yield() }
            }
        }
        let update = Task { [fixture] in await fixture.put(ConnectorRequest(name: "mine", pids: 32), updating: true) }
        for await _ in drains { break }
        await plane.stop()
        #expect(fixture.machines.story.last == "destroy m1")
        #expect(await update.value == nil)
    }

    @Test func aMachineThatIsStuckDoesNotKeepTheGatewayFromItsStart() async throws {
        try await fixture.add("other")
        try await fixture.add()
        // As an add leaves it that was killed.
        try await fixture.execute("UPDATE connectors SET state = 'building' WHERE name = 'mine'")
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        fixture.machines.onDelete.withLockedValue { hook in
            hook = { for await _ in gate { break } }
        }
        try await plane.start()
        #expect(published.connectors.keys.sorted() == ["other"])
        #expect(try await fixture.record()?.state == .building)
        open.finish()
        #expect(try await eventually { try await fixture.record() == nil })
        await plane.stop()
    }
}
