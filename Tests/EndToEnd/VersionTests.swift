import Foundation
import TestSupport
import Testing

/// `berth connector rebuild` and `rollback`: a package whose index has a newer version, in real machines.
@Suite(.enabled(if: Berth.isPossible, "machines need root"), .serialized)
struct VersionTests {
    @Test func aNewVersionTakesThePlaceAndGivesItBack() async throws {
        // Makes the shared parts, which the small index of this test does not have.
        try await Berth.run { warm in
            try await warm.up()
            try await warm.add("clock", fixture: "fixture.py")
        }
        try await Berth.run { berth in
            let folder = (berth.state as NSString).deletingLastPathComponent
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let index = try Background(["/usr/bin/python3", Repository.fixture("wheels.py")], in: folder)
            defer { index.end() }
            let line = try await index.line()
            let port = try #require((try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Int])?["port"])
            func publish(_ version: Int) async throws {
                let said = try await Command.run(["/usr/bin/curl", "--silent", "--fail", "http://127.0.0.1:\(port)/publish/\(version)"], seconds: 120)
                #expect(said.status == 0)
            }
            try await berth.up(["--package-index", "http://127.0.0.1:\(port)/simple"])
            let added = try await berth.run(["connector", "add", "demo", "--pypi", "berth-demo"])
            #expect(added.status == 0 && added.output.contains("demo ready: 1 tool"), "\(added.output) \(added.errors) \(berth.log)")
            try await berth.json(["vmcp", "create", "desk", "demo"])
            let alice = try await berth.token(for: "alice", vmcp: "desk")
            func serving() async throws -> String? { try await RawClient(url: alice.url, token: alice.token).call("version", [:]).text }
            #expect(try await serving() == "1.0")

            // What is the same is told, and nothing starts.
            let same = try await berth.run(["connector", "rebuild", "demo", "--yes"])
            #expect(same.status == 0 && same.output.contains("nothing has changed"), "\(same.output) \(same.errors)")

            try await publish(2)
            try await berth.refuses([
                BadInput(["connector", "rebuild", "demo"], code: 64, says: "a rebuild asks before it replaces demo, and nobody can be asked here — add --yes"),
                BadInput(["connector", "rollback", "demo"], says: "failed: demo has no earlier version with other code — *"),
            ])
            // Somebody at a terminal is shown the difference, and says no.
            let declined = try await Command.run(
                ["/usr/bin/script", "--quiet", "--return", "--command", "\(Repository.binary("berth")) connector rebuild demo", "/dev/null"],
                environment: ["BERTH_STATE": berth.state], input: "n\n", seconds: 180)
            #expect(declined.status == 1 && declined.output.contains("Put this in the place of version 1 of demo?"), "\(declined.output)")
            #expect(declined.output.contains("+ more") && declined.output.contains("demo is as it was"), "\(declined.output)")
            #expect(try await serving() == "1.0")

            let rebuilt = try await berth.run(["connector", "rebuild", "demo", "--yes"])
            #expect(rebuilt.status == 0 && rebuilt.output.contains("~ berth-demo 1.0 → 2.0"), "\(rebuilt.output) \(rebuilt.errors) \(berth.log)")
            #expect(rebuilt.output.contains("+ more") && rebuilt.output.contains(#"/description: "of version 1.0" → "of version 2.0""#), "\(rebuilt.output)")
            #expect(try await serving() == "2.0")

            // A version that does not start leaves the one that serves.
            try await publish(3)
            let broken = try await berth.run(["connector", "rebuild", "demo", "--yes"])
            #expect(broken.status == 1 && broken.errors.contains("demo serves on as it was") && broken.errors.contains("this version does not start"), "\(broken.errors)")
            #expect(try await serving() == "2.0")

            let back = try await berth.run(["connector", "rollback", "demo"])
            #expect(back.status == 0 && back.output.contains("demo ready: 1 tool"), "\(back.output) \(back.errors) \(berth.log)")
            #expect(try await serving() == "1.0")
            let shown = try await berth.run(["connector", "show", "demo"])
            #expect(shown.output.contains("3 serves") && shown.output.contains("rolled back to 1") && !shown.output.contains("(gone)"), "\(shown.output)")
            // One machine, of the version that serves; the images of all that may come back.
            _ = try await berth.machine()
            let images = try #require(try await berth.json(["image", "list"])["images"] as? [[String: Any]])
            #expect(images.count == 3, "\(images)")
            let forth = try await berth.run(["connector", "rollback", "demo", "--to", "2"])
            #expect(forth.status == 0, "\(forth.errors)")
            #expect(try await serving() == "2.0")
        }
    }
}
