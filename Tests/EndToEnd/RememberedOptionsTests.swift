import Foundation
import TestSupport
import Testing

/// A start of a state does as the one before it, until it is told otherwise.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct RememberedOptionsTests {
    private func budget(_ berth: Berth) async throws -> String? {
        (try await berth.json(["status"])["memory"] as? [String: Any])?["setting"] as? String
    }

    @Test func theNextStartHasTheOptionsOfTheLast() async throws {
        try await Berth.run { berth in
            try await berth.up(["--memory-budget", "50%", "--build-room", "900", "--behind-proxy", "127.0.0.1/32"])
            #expect(try await budget(berth) == "50%")
            // The same again is the same, with the options said or not.
            let again = try await berth.run(["up", "--detach"])
            #expect(again.status == 0 && again.output.contains("runs already"), "\(again)")
            let other = try await berth.run(["up", "--detach", "--memory-budget", "60%"])
            #expect(other.status != 0 && other.errors.contains("--memory-budget 50%"), "\(other)")

            #expect(try await berth.run(["down"]).status == 0)
            let next = try await berth.run(["up", "--detach", "--build-room", "800"])
            #expect(next.status == 0, "\(next) \(berth.log)")
            #expect(next.output.contains("--memory-budget 50% --behind-proxy 127.0.0.1/32, as last time"), "\(next.output)")
            #expect(try await budget(berth) == "50%")

            #expect(try await berth.run(["down"]).status == 0)
            let anew = try await berth.run(["up", "--detach", "--defaults"])
            #expect(anew.status == 0 && !anew.output.contains("as last time") && anew.output.contains(berth.url), "\(anew)")
            #expect(try await budget(berth) == "80%")

            #expect(try await berth.run(["down"]).status == 0)
            try Data("--from-the-future 7\n".utf8).write(to: URL(fileURLWithPath: berth.state + "/options"))
            let unknown = try await berth.run(["up", "--detach"])
            #expect(unknown.status != 0 && unknown.errors.contains("\(berth.state)/options") && unknown.errors.contains("--defaults"), "\(unknown)")
            #expect(try await berth.run(["up", "--detach", "--defaults"]).status == 0)
        }
    }
}
