import Testing
import TestSupport

@testable import Gateway

@Suite("work that is tried again", .timeLimit(.minutes(5)))
struct RetriedWorkTests {
    /// Attempts by name.
    private let attempts = Locked<[String: Int]>([:])

    private func count(_ name: String) -> Int { attempts.withLockedValue { $0[name, default: 0] } }

    /// What begins with `bad` fails.
    private func start(_ work: RetriedWork, _ during: @escaping @Sendable (String) async -> Void = { _ in }) {
        work.start { [attempts] name in
            attempts.withLockedValue { $0[name, default: 0] += 1 }
            await during(name)
            return !name.hasPrefix("bad")
        }
    }

    /// Longer than any deadline here.
    private static let long = Duration.seconds(600)

    @Test func aNameThatFailsDelaysNoOther() async throws {
        let work = RetriedWork(first: Self.long, longest: Self.long)
        start(work)
        work.ask("bad")
        #expect(await eventually { count("bad") == 1 })
        work.ask("good")
        #expect(await eventually { count("good") == 1 })
        #expect(count("bad") == 1)
        work.ask("bad")
        #expect(await eventually { count("bad") == 2 })
        await work.stop()
    }

    @Test func anAttemptThatTakesItsTimeDelaysNoOther() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self)
        let work = RetriedWork(first: Self.long, longest: Self.long, width: 2)
        start(work) { name in if name == "slow" { for await _ in gate { break } } }
        work.ask("slow")
        #expect(await eventually { count("slow") == 1 })
        // Never twice at a time; once more after it.
        work.ask("slow")
        for name in ["a", "b", "c"] { work.ask(name) }
        #expect(await eventually { ["a", "b", "c"].allSatisfy { count($0) == 1 } })
        #expect(count("slow") == 1)
        open.finish()
        #expect(await eventually { count("slow") == 2 })
        await work.stop()
    }

    @Test func whatFailsIsTriedUntilItSucceeds() async throws {
        let work = RetriedWork(first: .milliseconds(1), longest: .milliseconds(2))
        work.start { [attempts] name in attempts.withLockedValue { $0[name, default: 0] += 1; return $0[name] == 5 } }
        work.ask("x")
        #expect(await eventually { count("x") == 5 })
        await work.stop()
        #expect(count("x") == 5)
    }

    /// At the longest pause all pauses are alike.
    @Test func askingOftenDoesNotMakeItTriedOftener() async throws {
        let pause = Duration.milliseconds(50)
        let work = RetriedWork(first: pause, longest: pause)
        start(work)
        for number in 1...20 {
            work.ask("bad")
            #expect(await eventually { count("bad") >= number })
        }
        // In this order: attempts between the two only lengthen what is measured.
        let start = ContinuousClock.now
        let before = count("bad")
        #expect(await eventually { count("bad") >= before + 10 })
        // Ten pauses, whatever else the host does; one may have begun before.
        #expect(ContinuousClock.now - start >= pause * 8)
        await work.stop()
    }

    @Test func stopEndsThePauses() async throws {
        let work = RetriedWork(first: Self.long, longest: Self.long)
        start(work)
        work.ask("bad")
        #expect(await eventually { count("bad") == 1 })
        // The suite's time limit is shorter than the pause.
        await work.stop()
    }
}
