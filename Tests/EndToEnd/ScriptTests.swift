import Foundation
import NIOPosix
import TestSupport
import Testing
import Wire

/// What `make test` says about a run.
struct ScriptTests {
    @Test func everyTestIsCounted() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/berth-scripts-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder + "/.build", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let log = """
            ✔ Test readinessSpeaksToIt() passed after 0.1 seconds.
            ✔ Test "run with" passed after 0.1 seconds.
            ✔ Test life() passed after 0.1 seconds.
            ✘ Test refusals() failed after 0.1 seconds with 1 issue.
            ✘ Test "x" failed after 0.1 seconds with 1 issue.
            ➜ Test reading() skipped: "needs root"
            ✘ Test run with 6 tests in 2 suites failed after 0.2 seconds with 2 issues.
            ✔ Test run with 0 tests in 0 suites passed after 0.2 seconds.

            """
        try log.write(toFile: folder + "/.build/test-one.log", atomically: true, encoding: .utf8)
        let result = try await Command.run([Repository.root + "/scripts/test-summary", "totals", "one"], directory: folder)
        #expect(result.output == "3 passed, 2 failed, 1 skipped\n", "\(result)")
    }

    @Test func socketsAndPortsAreLookedFor() async throws {
        let path = "/tmp/berth-scripts-\(UUID().uuidString.prefix(8))"
        let loops = MultiThreadedEventLoopGroup.singleton
        let unix = try await PublicServer.bind(.unix(path: path), group: loops) { _ in Nobody() }
        let tcp = try await PublicServer.bind(.tcp(host: "127.0.0.1", port: 0), group: loops) { _ in Nobody() }
        let found = try await Command.run([Repository.root + "/scripts/leftovers", "look"])
        await unix.close()
        await tcp.close()
        #expect(found.output.contains("socket \(path)\n") && found.output.contains("listen 0100007F:\(tcp.port ?? 0)\n"), "\(found)")
        let before = FileManager.default.temporaryDirectory.path + "/berth-scripts-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: before) }
        let snapshot = try await Command.run([Repository.root + "/scripts/leftovers", "snapshot", before])
        #expect(snapshot.status == 0 && FileManager.default.fileExists(atPath: before))
        #expect(try await Command.run([Repository.root + "/scripts/leftovers", "compare"]).status == 64)
    }

    private final class Nobody: ServerDelegate {
        func handle(_ exchange: ServerExchange) { exchange.reply(status: 404, headers: [], body: nil) }
    }
}
