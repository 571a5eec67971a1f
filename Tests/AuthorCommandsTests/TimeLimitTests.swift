import Foundation
import Synchronization
import TestSupport
import Testing

@testable import AuthorCommands

/// `--timeout`
@Suite struct TimeLimitTests {
    /// Until it is cancelled.
    private static func silence() async { try? await Task.sleep(for: .seconds(600)) }

    private static func line(_ body: () async throws -> Void) async -> String? {
        do { try await body() } catch { return ((error as? TimeIsUp)?.failure ?? error as? Failure)?.line ?? "\(error)" }
        return nil
    }

    @Test func whatIsGivenIsForTheWholeRequest() throws {
        #expect(try TimeLimit(option: nil) == TimeLimit(.seconds(300), beginsAnew: true))
        for (option, seconds) in [("5", 5), ("30s", 30), ("2m", 120), ("24h", 86_400)] {
            #expect(try TimeLimit(option: option) == TimeLimit(.seconds(seconds), beginsAnew: false))
        }
        #expect(try TimeLimit(option: "0").limit == nil)
    }

    @Test(arguments: [("-1", "'-1' is no time"), ("soon", "'soon' is no time"), ("1.5", "'1.5' is no time"), ("86401", "86401 is out of range")])
    func whatIsNoTimeIsRefused(_ option: String, _ says: String) async {
        let told = await Self.line { _ = try TimeLimit(option: option) }
        #expect(told == "--timeout \(says) — 30s, 5m, or seconds, up to a day; 0 is no limit")
    }

    @Test func anAnswerInTimeIsOne() async throws {
        #expect(try await TimeLimit(.seconds(600), beginsAnew: false).run("x") { _ in 1 } == 1)
        #expect(try await TimeLimit(nil, beginsAnew: false).run("x") { _ in 1 } == 1)
    }

    @Test(arguments: [
        (false, "no answer to tools/call within 0 s: it was cancelled — --timeout SECONDS waits longer, --timeout 0 without end"),
        (true, "no word from the server about tools/call for 0 s: it was cancelled — --timeout SECONDS waits longer, --timeout 0 without end"),
    ])
    func whatIsLateIsCancelled(_ beginsAnew: Bool, _ says: String) async {
        let isOver = Mutex(false)
        let told = await Self.line {
            try await TimeLimit(.milliseconds(20), beginsAnew: beginsAnew).run("tools/call") { _ in
                await Self.silence()
                isOver.withLock { $0 = Task.isCancelled }
            }
        }
        #expect(told == says && isOver.withLock { $0 })
    }

    /// Words that go on for longer than the limit. They come from a thread of their own: tasks wait for other tests' for longer than that.
    @Test(arguments: [(true, 2_000, 2_500), (false, 100, 600_000)]) func aWordBeginsTheTimeAnew(_ beginsAnew: Bool, _ limit: Int, _ length: Int) async {
        let told = await Self.line {
            try await TimeLimit(.milliseconds(limit), beginsAnew: beginsAnew).run("x") { heard in
                let isOver = Flag()
                // It speaks on until whoever waits for its end has been given a turn.
                Thread.detachNewThread {
                    while !isOver.isSet {
                        heard()
                        Thread.sleep(forTimeInterval: 0.001)
                    }
                }
                try? await Task.sleep(for: .milliseconds(length))
                isOver.set()
            }
        }
        #expect((told == nil) == beginsAnew, "\(told ?? "")")
    }

    private final class Flag: Sendable {
        private let value = Atomic(false)
        var isSet: Bool { value.load(ordering: .acquiring) }
        func set() { value.store(true, ordering: .releasing) }
    }

    /// An interruption ends the wait with what the call says of it.
    @Test func whoGivesUpHearsTheOutcome() async throws {
        let work = Task {
            try await TimeLimit(.seconds(600), beginsAnew: true).run("x") { _ in
                await Self.silence()
                return Task.isCancelled
            }
        }
        work.cancel()
        #expect(try await work.value)
    }
}
