import Testing
import TestSupport

@testable import Gateway

@Suite("admin actions and their rows", .timeLimit(.minutes(5)))
struct AdminActionTests {
    struct Failure: Error {}

    /// What happened, in order.
    private let log = Locked<[String]>([])

    private func note(_ text: String) { log.withLockedValue { $0.append(text) } }
    private var noted: [String] { log.withLockedValue { $0 } }

    private func action(isBroken: Bool = false) -> AdminAction {
        AdminAction(caller: .localRoot, action: "token.create", subject: "alice") { [log] _, action, subject, failure in
            // Whoever does not wait for it is ahead of it.
            for _ in 0..<100 { await Task.yield() }
            log.withLockedValue { $0.append("row \(action) \(subject) \(failure ?? "-")") }
            if isBroken { throw Failure() }
        }
    }

    // MARK: At once

    @Test func oneRowForWhatIsDone() async throws {
        #expect(try await action().run { 7 } == 7)
        #expect(noted == ["row token.create alice -"])
    }

    @Test func oneRowForWhatFails() async throws {
        await #expect(throws: ProvisioningFailure(error: "exists", message: "taken")) {
            try await action().run { throw ProvisioningFailure(error: "exists", message: "taken") }
        }
        await #expect(throws: Failure.self) { try await action().run { throw Failure() } }
        #expect(noted == ["row token.create alice taken", "row token.create alice an internal error"])
    }

    /// It is done all the same: a second row would tell that it had failed.
    @Test func aRowThatFailsIsNotFollowedByAnother() async throws {
        let failure = await #expect(throws: ProvisioningFailure.self) { try await action(isBroken: true).run { 7 } }
        #expect(failure?.error == "audit_unavailable")
        #expect(noted == ["row token.create alice -"])
    }

    // MARK: Step by step

    private func adding(isBroken: Bool = false, _ work: @escaping @Sendable () async -> ProvisioningFailure? = { nil }) -> ProvisioningAnswer {
        ProvisioningAnswer(
            work: { say in
                say(.step("build"))
                let failure = await work()
                say(failure.map { .failed($0) } ?? .ready(name: "time", tools: 2, seconds: 1))
                return failure
            }, record: action(isBroken: isBroken).record)
    }

    private func tell(_ event: ProvisioningEvent) {
        switch event {
        case .step(let text): note(text)
        case .release: note("release")
        case .ready, .passed, .changes: note("ready")
        case .failed(let failure): note("failed \(failure.error)")
        }
    }

    @Test func theEndIsToldWhenItsRowIsWritten() async throws {
        try await adding().write { tell($0) }
        #expect(noted.count == 3 && noted.last == "ready" && Set(noted.dropLast()) == ["build", "row token.create alice -"])
    }

    @Test func aFailureIsToldWhenItsRowIsWritten() async throws {
        try await adding { ProvisioningFailure(error: "not_ready", message: "mute") }.write { tell($0) }
        #expect(noted.count == 3 && noted.last == "failed not_ready" && Set(noted.dropLast()) == ["build", "row token.create alice mute"])
    }

    @Test func readyIsNotToldWithoutARow() async throws {
        try await adding(isBroken: true).write { tell($0) }
        #expect(noted.last == "failed audit_unavailable" && !noted.contains("ready"))
    }

    /// How a caller goes away: its connection breaks at a write, or its task is cancelled while nothing is written.
    @Test(arguments: [true, false]) func theWorkOfACallerThatWentAwayIsAwaited(byWriting: Bool) async throws {
        let (began, continuation) = AsyncStream.makeStream(of: Void.self)
        let answer = adding { [log] in
            continuation.yield()
            while !Task.isCancelled { await Task.yield() }
            // What cleans up runs to its end.
            await Task { for _ in 0..<100 { await Task.yield() } }.value
            log.withLockedValue { $0.append("clean") }
            return ProvisioningFailure(error: "cancelled", message: "gone")
        }
        let task = Task {
            try await answer.write { event in
                if byWriting { throw Failure() }
                tell(event)
            }
        }
        for await _ in began { break }
        if !byWriting { task.cancel() }
        let result = await task.result
        if byWriting { #expect(throws: Failure.self) { try result.get() } }
        #expect(noted.filter { $0 != "build" && !$0.hasPrefix("failed") } == ["clean", "row token.create alice gone"])
    }

    // MARK: Reading

    @Test func anExportThatWasCutIsNoExport() async throws {
        let fixture = try AuditFixture()
        let store = try AuditStore(path: fixture.database, journal: fixture.directory)
        let journal = try fixture.journal { store.enqueue($0) }
        await store.start()
        try journal.append((1...250).map { AuditFixture.call($0, payload: false) })
        let pages = try await store.rows(last: 250)
        let seen = Locked(0)
        let task = Task {
            try await pages.each { page in
                seen.withLockedValue { $0 += page.count }
                withUnsafeCurrentTask { $0?.cancel() }
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(seen.withLockedValue { $0 } < 250)
        await store.close()
    }
}
