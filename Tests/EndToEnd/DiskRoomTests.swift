import Foundation
import TestSupport
import Testing

/// What `berth status` says of the disk, and what a disk with little room is kept for: the state lies on a small tmpfs in a
/// mount namespace of the test's.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct DiskRoomTests {
    @Test func withoutRoomNothingIsBuiltAndCallsGoOn() async throws {
        let folder = "/var/tmp/berth-test-\(UUID().uuidString.prefix(8).lowercased())"
        let state = folder + "/state"
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let holder = try Background(
            ["/usr/bin/unshare", "-m", "/bin/sh", "-ec", "mount -t tmpfs -o size=700m,mode=700 berth-test \(state); echo mounted; exec sleep 3600"],
            in: folder)
        defer { holder.end() }
        _ = try await holder.line()
        try await Berth.run(state: state, prefix: ["/usr/bin/nsenter", "-t", "\(holder.pid)", "-m"]) { berth in
            try await berth.up(["--build-room", "100"])
            try await berth.add("clock", fixture: "fixture.py")
            try await berth.json(["vmcp", "create", "office", "clock"])
            let alice = try await berth.token(for: "alice", vmcp: "office")
            let client = RawClient(url: alice.url, token: alice.token)
            #expect(try await client.call("echo", ["text": "one"]).text == "one")
            #expect(try await berth.run(["down"]).status == 0)

            // As it is by default: less than 1 GiB is free, and always was.
            try await berth.up(["--defaults"])
            let folder = (berth.state as NSString).deletingLastPathComponent + "/another"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try writeFile("print('another')", to: folder + "/server.py")
            let refused = try await berth.run(["connector", "add", "another", "--dir", folder, "--json", "--", "/usr/bin/python3", "server.py"])
            let line = refused.errors.split(separator: "\n").last.map(String.init) ?? ""
            #expect(refused.status == 1 && refused.lastJSON?["error"] as? String == "low_disk", "\(refused.output) \(line)")
            #expect(line.contains("MiB are free on the disk of \(state)/orchestrator, and a build needs 1024 MiB"), "\(line)")
            #expect(try await berth.json(["connector", "list"])["connectors"].map { "\($0)".contains("another") } == false)
            #expect(try await client.call("echo", ["text": "two"]).text == "two", "\(berth.log)")
            let text = try await berth.run(["status"])
            #expect(text.output.contains("under 1.0 GiB: nothing is built; calls go on"), "\(text.output)")

            let disk = try #require(try await berth.json(["status"])["disk"] as? [String: Any])
            func bytes(_ name: String) -> Int { disk[name] as? Int ?? -1 }
            #expect(bytes("images") > 20 << 20 && bytes("databases") > 4_096 && bytes("audit") > 0 && bytes("logs") > 0, "\(disk)")
            #expect(bytes("free") > 0 && bytes("free") < 700 << 20 && bytes("shared_cache") > 20 << 20, "\(disk)")
            // What was built before needs no room.
            #expect(try await berth.run(["connector", "update", "clock", "--env", "A=b"]).status == 0)
        }
    }
}
