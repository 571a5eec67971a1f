import Foundation
import TestSupport
import Testing

/// `berth logs --follow`: what a connector's machine writes, as it writes it.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct LogFollowTests {
    @Test func aLogIsFollowedThroughARestartUntilItsMachineIsDestroyed() async throws {
        try await Berth.run { berth in
            try await berth.up()
            try await berth.add("eats", fixture: "eats_memory.py")
            let machine = try await berth.machine()
            let (folder, berthOfState) = ((berth.state as NSString).deletingLastPathComponent, ["BERTH_STATE": berth.state])
            let follower = try Background(
                [Repository.binary("berth"), "logs", "eats", "--follow", "-n", "1"], environment: berthOfState, in: folder)
            defer { follower.end() }
            let other = try Background(
                [Repository.binary("berth"), "machines", "logs", machine.machine, "-f", "-n", "0", "--json"], environment: berthOfState, in: folder)
            defer { other.end() }
            await eventually("its last line") { !follower.output.isEmpty }
            try await berth.json(["machines", "restart", "eats"])
            let boot = try await berth.machine().boot
            #expect(boot != machine.boot)
            await eventually("the next boot's first line") { follower.output.contains("boot \(boot)") }
            await eventually("the same as JSON") { other.output.contains("boot \(boot)") }
            let line = try #require(other.output.split(separator: "\n").first { $0.contains("boot \(boot)") })
            let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            #expect(object["machine"] as? String == machine.machine && (object["line"] as? String)?.hasPrefix("info: serving machine") == true)
            try await berth.json(["machines", "destroy", "eats", "--force"])
            await eventually("their end") { !follower.isRunning && !other.isRunning }
        }
    }
}
