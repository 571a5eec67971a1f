import Foundation
import TestSupport
import Testing

/// `berth down --purge` removes one state, all of it and nothing else. Its shared cache is a copy of the host's, in a mount
/// namespace of the test's.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct PurgeTests {
    private static func purge(_ berth: Berth, _ extra: [String] = ["--yes"]) async throws -> CommandResult {
        try await berth.run(["down", "--purge"] + extra)
    }

    @Test func nothingOfItStaysAndNothingElseGoes() async throws {
        let folder = "/var/tmp/berth-test-\(UUID().uuidString.prefix(8).lowercased())"
        try FileManager.default.createDirectory(atPath: folder + "/victim", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try writeFile("mine", to: folder + "/victim/file")
        let holder = try Background(
            [
                "/usr/bin/unshare", "-m", "/bin/sh", "-ec",
                """
                mkdir -p /var/cache/berth && chmod 700 /var/cache/berth && mkdir -m 700 \(folder)/cache
                for part in /var/cache/berth/base-* /var/cache/berth/builder-*; do [ ! -e "$part/part.json" ] || cp -a "$part" \(folder)/cache/; done
                mount --bind \(folder)/cache /var/cache/berth; echo mounted; exec sleep 3600
                """,
            ], in: folder)
        defer { holder.end() }
        _ = try await holder.line { $0 == "mounted" }
        let prefix = ["/usr/bin/nsenter", "-t", "\(holder.pid)", "-m"]
        let first = try Berth(state: folder + "/first", prefix: prefix)
        let second = try Berth(state: folder + "/second", prefix: prefix)
        for berth in [first, second] {
            try await berth.up()
            try await berth.add(berth === first ? "one" : "two", fixture: "fixture.py")
        }
        _ = try await first.machine()

        // Without an answer nothing is done, whatever there is instead of one.
        let silent = try await Self.purge(first, [])
        #expect(silent.status == 64 && silent.errors.contains("nobody can be asked here") && silent.errors.contains("--yes"), "\(silent)")
        let refusing = """
            import os, pty, sys
            pid, master = pty.fork()
            if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
            output = b""
            answered = False
            while True:
                try: data = os.read(master, 4096)
                except OSError: break
                if not data: break
                output += data
                if not answered and b"Type yes" in output:
                    os.write(master, b"no\\n"); answered = True
            sys.stdout.buffer.write(output)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            """
        let no = try await Command.run(["/usr/bin/python3", "-c", refusing] + prefix + [Repository.binary("berth"), "down", "--purge", "--state", first.state])
        #expect(no.status == 1 && no.output.contains("nothing was removed") && no.output.contains("berth backup FILE --state \(first.state)"), "\(no)")
        try writeFile("mine", to: first.state + "/notes")
        let strange = try await Self.purge(first)
        #expect(strange.status == 1 && strange.errors.contains("holds notes, which is not Berth's"), "\(strange)")
        unlink(first.state + "/notes")
        let machine = try await first.machine()
        #expect(!machine.boot.isEmpty, "it runs on after all that")
        for path in ["/", "/etc", folder + "/victim", folder + "/none"] {
            let other = try await first.run(["down", "--purge", "--yes", "--state", path])
            #expect(other.status == 1, "\(path): \(other)")
        }
        #expect(access(folder + "/victim/file", F_OK) == 0)

        // What the gateway's user may have prepared: links out of the state, in the place of files and of folders.
        let part = first.state + "/gateway"
        symlink(folder + "/victim", part + "/folder")
        symlink(folder + "/victim/file", part + "/file")
        mkdir(part + "/deep", 0o700)
        symlink("../../../victim", part + "/deep/up")
        let removed = try await Self.purge(first, ["--yes", "--json"])
        #expect(removed.status == 0, "\(removed.output) \(removed.errors)")
        let left = removed.lastJSON?["left"] as? [[String: Any]] ?? []
        #expect(left.isEmpty, "\(left)")
        let key = try first.key
        #expect(access(first.state, F_OK) != 0 && access("/run/berth/\(key)", F_OK) != 0 && access("/run/berth/\(key).mnt", F_OK) != 0)
        #expect(access(folder + "/victim/file", F_OK) == 0)
        let cgroups = try await Command.run(["/usr/bin/find", "/sys/fs/cgroup", "-maxdepth", "2", "-name", "berth-\(key)*"])
        #expect(cgroups.output.isEmpty, "\(cgroups.output)")
        for process in ["supervise", "gateway", "orchestrator"] { #expect((try? first.pid(of: process)) == nil) }
        let again = try await Self.purge(first)
        #expect(again.status == 1 && again.errors.contains("there is no state"), "\(again)")

        // The other one has lost nothing: another mount has no hard links to the cache, so that its images are copies.
        try await second.json(["vmcp", "create", "office", "two"])
        let bob = try await second.token(for: "bob", vmcp: "office")
        #expect(try await RawClient(url: bob.url, token: bob.token).call("echo", ["text": "here"]).text == "here", "\(second.log)")
        // Parts of other recipes are in the host's cache as well, and whoever made them may need them.
        let used = try FileManager.default.contentsOfDirectory(atPath: second.state + "/orchestrator/images")
            .filter { $0.hasPrefix("part-") && $0.hasSuffix(".json") }
            .map { name in
                let part = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: second.state + "/orchestrator/images/" + name)))
                return "\(name.dropFirst(5).dropLast(5))-\((part as? [String: Any])?["key"] as? String ?? "?")"
            }
        #expect(!used.isEmpty)
        let last = try await Self.purge(second)
        #expect(last.status == 0 && last.output.contains("userdel berth"), "\(last)")
        #expect(access(second.state, F_OK) != 0)
        let cache = try FileManager.default.contentsOfDirectory(atPath: folder + "/cache")
        #expect(Set(cache).isDisjoint(with: used), "\(cache)")
    }

    /// An operator keeps something of it elsewhere, on the same disk.
    @Test func whatIsMountedInItIsNotEntered() async throws {
        let folder = "/var/tmp/berth-test-\(UUID().uuidString.prefix(8).lowercased())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for name in ["state/gateway/audit", "precious"] {
            try FileManager.default.createDirectory(atPath: folder + "/" + name, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        for name in ["state/version", "state/lock", "precious/file"] { try writeFile("", to: folder + "/" + name) }
        let script = #"mount --bind "$1/precious" "$1/state/gateway/audit"; shift; exec "$@""#
        let purge = ["down", "--purge", "--yes", "--state", folder + "/state"]
        let refused = try await Command.run(
            ["/usr/bin/unshare", "-m", "/bin/sh", "-ec", script, "sh", folder, Repository.binary("berth")] + purge)
        #expect(refused.status == 1 && refused.errors.contains("state/gateway/audit is a mount point"), "\(refused)")
        #expect(access(folder + "/precious/file", F_OK) == 0 && access(folder + "/state/version", F_OK) == 0, "nothing has gone")
        #expect(try await Command.run([Repository.binary("berth")] + purge).status == 0)
        #expect(access(folder + "/precious/file", F_OK) == 0 && access(folder + "/state", F_OK) != 0)
    }

    /// A Berth that was killed, and a restore that was cut off, are removed as well.
    @Test func whatIsHalfThereGoesToo() async throws {
        let berth = try Berth()
        try await berth.up()
        try await berth.add("fixture", fixture: "fixture.py")
        for process in ["supervise", "gateway", "orchestrator"] { if let pid = try? berth.pid(of: process) { kill(pid, SIGKILL) } }
        let hasEnded = await eventually { (try? berth.pid(of: "orchestrator")) == nil && (try? berth.pid(of: "gateway")) == nil }
        #expect(hasEnded)
        let removed = try await Self.purge(berth)
        #expect(removed.status == 0, "\(removed.output) \(removed.errors)")
        #expect(access(berth.state, F_OK) != 0)
        let key = try berth.key
        let cgroups = try await Command.run(["/usr/bin/find", "/sys/fs/cgroup", "-maxdepth", "2", "-name", "berth-\(key)*"])
        #expect(cgroups.output.isEmpty && access("/run/berth/\(key)", F_OK) != 0, "\(cgroups.output)")
        try writeFile("", to: berth.state + "/restoring/unfinished")
        try writeFile("", to: berth.state + "/lock")
        chmod(berth.state, 0o700)
        #expect(try await Self.purge(berth).status == 0)
        #expect(access(berth.state, F_OK) != 0)
        try? FileManager.default.removeItem(atPath: (berth.state as NSString).deletingLastPathComponent)
    }
}
