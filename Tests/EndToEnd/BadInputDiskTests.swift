import Foundation
import TestSupport
import Testing

/// A disk that fills while an image is built: the state lies on a small tmpfs in a mount namespace of the test's.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct BadInputDiskTests {
    @Test func diskFullDuringBuild() async throws {
        let folder = "/var/tmp/berth-test-\(UUID().uuidString.prefix(8).lowercased())"
        let state = folder + "/state"
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let holder = try Background(
            ["/usr/bin/unshare", "-m", "/bin/sh", "-ec", "mount -t tmpfs -o size=512m,mode=700 berth-test \(state); echo mounted; exec sleep 3600"],
            in: folder)
        defer { holder.end() }
        _ = try await holder.line()
        // The test sees the tmpfs through the holder's root.
        let seen = "/proc/\(holder.pid)/root" + state

        try await Berth.run(state: state, prefix: ["/usr/bin/nsenter", "-t", "\(holder.pid)", "-m"]) { berth in
            // Builds on a disk as small as this one are refused otherwise: `DiskRoomTests`.
            try await berth.up(["--build-room", "0"])
            try await berth.add("clock", fixture: "fixture.py")
            let before = try await Snapshot.of(berth)
            // Room for the databases and a beginning, not for an installation.
            try fill(seen, leaving: 72 << 20)
            let full = BadInput(
                "connector", "add", "time", "--pypi", "mcp-server-time", says: "failed: the disk of the state directory is full — Free some space on it.")
            let result = try await berth.run(full.arguments)
            if let complaint = full.fits(result) { Issue.record("\(complaint)\n\(result.errors)") }
            let building = try FileManager.default.contentsOfDirectory(atPath: seen + "/orchestrator/images/building")
            #expect(building.isEmpty, "\(building)")
            let after = try await Snapshot.of(berth)
            #expect(after == before, "\(before.difference(after))")

            // Not one byte left: refused in words, and well again once there is room.
            try fill(seen, leaving: 0)
            let none = try await berth.run(["vmcp", "create", "office", "clock"])
            let line = none.errors.split(separator: "\n").last.map(String.init) ?? ""
            #expect(none.status == 0 || line.contains("disk") && line.contains(" — "), "\(none.status) \(line)")
            try FileManager.default.removeItem(atPath: seen + "/filler")
            if none.status != 0 { try await berth.json(["vmcp", "create", "office", "clock"]) }
            let alice = try await berth.token(for: "alice", vmcp: "office")
            let answer = try await RawClient(url: alice.url, token: alice.token).call("echo", ["text": "room again"])
            #expect(answer.text?.contains("room again") == true, "\(answer.json)")
        }
    }

    /// Grows a file until only so much is free.
    private func fill(_ path: String, leaving rest: Int) throws {
        var space = statvfs()
        guard statvfs(path, &space) == 0 else { throw Trouble("statvfs \(path)") }
        var size = Int(space.f_bavail) * Int(space.f_frsize) - rest
        let file = open(path + "/filler", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        guard file >= 0 else { throw Trouble("open \(path)/filler") }
        defer { close(file) }
        let chunk = [UInt8](repeating: 0x62, count: 1 << 20)
        while size > 0 {
            let count = write(file, chunk, min(size, chunk.count))
            if count <= 0 { break }
            size -= count
        }
    }
}
