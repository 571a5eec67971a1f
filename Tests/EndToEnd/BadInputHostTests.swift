import Foundation
import TestSupport
import Testing

/// Where Berth cannot start: `berth up` says why in one line, starts nothing and leaves the state directory as it was.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct BadInputHostTests {
    /// A folder of the test's own.
    private static func scratch() throws -> String {
        let path = "/var/tmp/berth-test-\(UUID().uuidString.prefix(8).lowercased())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        return path
    }

    /// Every name, mode and content below a path.
    private static func image(of path: String) -> [String] {
        var info = stat()
        var result = lstat(path, &info) == 0 ? ["\(info.st_mode) \(info.st_uid)"] : ["absent"]
        for name in (FileManager.default.enumerator(atPath: path)?.allObjects as? [String] ?? []).sorted() {
            result.append("\(name) \(FileManager.default.contents(atPath: path + "/" + name)?.hashValue ?? 0)")
        }
        return result
    }

    /// `berth up` after `preparation` in a mount namespace of its own.
    private func refuses(
        _ state: String, after preparation: String = "", _ extra: [String] = [], says line: String, _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let berth = try Berth(state: state)
        let before = Self.image(of: state)
        let arguments = ["up", "--state", state, "--listen", "127.0.0.1:\(berth.port)", "--detach"] + extra
        let row = BadInput(arguments, says: line)
        let result = try await Command.run(
            ["/usr/bin/unshare", "-m", "/bin/sh", "-ec", preparation + "\nexec \"$@\"", "sh", Repository.binary("berth")] + arguments, seconds: 120)
        if let complaint = row.fits(result) { Issue.record("\(preparation)\n\(complaint)\n\(result.errors)", sourceLocation: location) }
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)", sourceLocation: location)
        #expect(Self.image(of: state) == before, sourceLocation: location)
        #expect(throws: Trouble.self, sourceLocation: location) { try berth.pid(of: "supervise") }
        #expect(!FileManager.default.fileExists(atPath: "/run/berth/\(try berth.key)"), sourceLocation: location)
    }

    @Test func portInUse() async throws {
        let folder = try Self.scratch()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let holder = try Background(
            [
                "/usr/bin/python3", "-c",
                "import signal, socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); signal.pause()",
            ],
            in: folder)
        defer { holder.end() }
        let port = try await holder.line()
        try await refuses(
            folder + "/state", ["--listen", "127.0.0.1:\(port)"],
            says: "port \(port) is in use by python3 (pid \(holder.pid)) — stop it, or choose another with --listen 127.0.0.1:PORT")
    }

    @Test func stateDirectories() async throws {
        let folder = try Self.scratch()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func state(_ name: String, mode: Int = 0o700, _ files: [String: String] = [:]) throws -> String {
            let path = "\(folder)/\(name)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: mode])
            for (name, text) in files {
                try text.write(toFile: "\(path)/\(name)", atomically: false, encoding: .utf8)
                chmod("\(path)/\(name)", 0o600)
            }
            return path
        }
        let newer = try state("newer", ["version": "99\n"])
        try await refuses(
            newer,
            says: "\(newer) was written by a newer berth (state version 99, this one knows 1) — run that version, or use another state directory")
        let damaged = try state("damaged", ["version": "seven\n"])
        try await refuses(damaged, says: "\(damaged)/version holds no version number — restore the state directory from a backup")
        let wide = try state("wide", mode: 0o755)
        try await refuses(wide, says: "\(wide) is open to other users (mode 0755) — chmod 700 \(wide)")
        let foreign = try state("foreign")
        chown(foreign, 65_534, 65_534)
        try await refuses(foreign, says: "\(foreign) belongs to uid 65534, not to uid 0 — chown 0 \(foreign)")
        let other = try state("other", ["notes.txt": "mine"])
        try await refuses(other, says: "\(other) holds notes.txt, which is not Berth's — give --state a new or empty directory")
        try "text".write(toFile: folder + "/file", atomically: false, encoding: .utf8)
        try await refuses(folder + "/file", says: "\(folder)/file is not a directory — move it away or choose another path")
        let fixed = try state("fixed")
        let freeze = "mount --bind \(folder) \(folder) && mount -o remount,bind,ro \(folder)"
        try await refuses(fixed, after: freeze, says: "\(fixed) cannot be written — make it writable or choose another state directory")
        try await refuses(
            folder + "/absent", after: freeze, says: "cannot create \(folder)/absent: Read-only file system — make it writable for uid 0")
    }

    /// What the kernel or the installation lacks, hidden by mounts.
    @Test func missingParts() async throws {
        let folder = try Self.scratch()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let state = folder + "/state"
        try "0\n".write(toFile: folder + "/zero", atomically: false, encoding: .utf8)
        try "".write(toFile: folder + "/empty", atomically: false, encoding: .utf8)
        func hide(_ path: String, with file: String = "/dev/null") -> String { "if [ -e \(path) ]; then mount --bind \(file) \(path); fi" }

        let runtimes = ["/usr/bin/crun", "/usr/sbin/crun", "/usr/bin/runc", "/usr/sbin/runc"].map { hide($0) }.joined(separator: "; ")
        try await refuses(
            state, after: runtimes,
            says: "machines need oci-runtime, which this host does not give: neither crun nor runc found — apt-get install crun")
        try await refuses(
            state, after: hide("/usr/bin/mmdebstrap"), says: "mmdebstrap is missing; it makes the base image — apt-get install mmdebstrap")
        try await refuses(
            state, after: "grep -v ^berth: /etc/passwd > \(folder)/passwd; " + hide("/etc/passwd", with: folder + "/passwd"),
            says: "the system user berth is missing; the gateway runs as it, without any capability — useradd --system *")
        try await refuses(
            state, after: hide("/proc/sys/user/max_user_namespaces", with: folder + "/zero"),
            says: "machines need user-namespace, which this host does not give: limit is 0 — sysctl -w user.max_user_namespaces=10000")
        try await refuses(
            state,
            // Neither loaded nor to be asked for: fsopen, which would load it, is refused.
            after: hide("/proc/filesystems", with: folder + "/empty")
                + "; set -- /usr/bin/python3 \(Repository.fixture("without_call.py")) 430 \"$@\"",
            says: "machines need read-only-root, which this host does not give: the kernel has no overlayfs — modprobe overlay")
        try await refuses(
            state, after: hide("/proc/sys/kernel/seccomp/actions_avail", with: folder + "/empty"),
            says: "machines need seccomp, which this host does not give: the kernel has no filter — use a kernel with CONFIG_SECCOMP_FILTER")
        if FileManager.default.fileExists(atPath: "/sys/fs/cgroup/pids/tasks") {
            try await refuses(
                state, after: "umount /sys/fs/cgroup/pids",
                says: "machines need cgroup-pids, which this host does not give: version 1 — mount the pids controller, *")
            // Version 2 as it is on such a host, but for the controllers, which version 1 holds.
            try await refuses(
                state, after: "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup",
                says: "machines need cgroup-memory, which this host does not give: version 2 — mount the memory controller, *")
        }
    }

    /// An older kernel: a filter answers the call as if there were none, an empty folder hides a namespace's file.
    @Test func olderKernels() async throws {
        let folder = try Self.scratch()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let state = folder + "/state"
        try await refuses(
            state, after: "set -- /usr/bin/python3 \(Repository.fixture("without_call.py")) 434 \"$@\"",
            says: "machines need pidfd, which this host does not give: watching and signalling without races — use Linux 5.4 or newer")
        let kinds = ["user": "user", "pid": "pid", "mnt": "mount", "net": "net", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup"]
        for (file, name) in kinds {
            let others = folder + "/without-" + file
            try FileManager.default.createDirectory(atPath: others, withIntermediateDirectories: true)
            for other in kinds.keys where other != file { try Data().write(to: URL(fileURLWithPath: others + "/" + other)) }
            try await refuses(
                state, after: "mount --bind \(others) /proc/$$/ns", says: "machines need \(name)-namespace, which this host does not give: *")
        }
    }

    /// The search for leftovers needs nothing but the state's path: no gateway's user, no agent beside it, no state.
    @Test func leftoversWithoutAnything() async throws {
        let folder = try Self.scratch()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.copyItem(atPath: Repository.binary("berth"), toPath: folder + "/berth")
        func search(_ prefix: [String] = []) async throws -> CommandResult {
            let withoutUser = "grep -v ^berth: /etc/passwd > \(folder)/passwd; mount --bind \(folder)/passwd /etc/passwd; exec \"$@\""
            return try await Command.run(
                ["/usr/bin/unshare", "-m", "/bin/sh", "-ec", withoutUser, "sh"] + prefix
                    + [folder + "/berth", "doctor", "--leftovers", "--state", folder + "/state", "--json"])
        }
        let nothing = try await search()
        #expect(nothing.status == 1 && nothing.lastJSON?["event"] as? String == "failed", "\(nothing.output) \(nothing.errors)")
        #expect(nothing.errors.hasPrefix("berth: no state directory \(folder)/state — "), "\(nothing.errors)")
        let half = folder + "/state/orchestrator/images/building/0123"
        try FileManager.default.createDirectory(atPath: half, withIntermediateDirectories: true)
        let found = try await search()
        let items = found.lastJSON?["leftovers"] as? [[String: String]]
        #expect(found.status == 1 && items == [["kind": "half_made", "name": half, "boot": ""]], "\(found.output) \(found.errors)")
        let run = "/run/berth/\(try Berth(state: folder + "/state").key)"
        let mounting = "mount -t tmpfs none /run; mkdir -p \(run)/held; mount -t tmpfs none \(run)/held; exec \"$@\""
        let mounted = try await search(["/bin/sh", "-ec", mounting, "sh"])
        #expect(mounted.output.contains(#"{"kind":"mount","name":"\#(run)/held","boot":""}"#), "\(mounted.output) \(mounted.errors)")
        chmod(folder, 0o755)
        chmod(folder + "/berth", 0o755)
        let refused = try await search(["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        #expect(refused.status == 1 && refused.lastJSON?["event"] as? String == "failed", "\(refused.output)")
        #expect(refused.errors.hasPrefix("berth: berth doctor needs root: "), "\(refused.errors)")
    }

    /// A damaged state that only the two processes see: the reason still reaches the terminal, and nothing runs on.
    @Test func damageInside() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let down = try await berth.run(["down"])
            #expect(down.status == 0, "\(down.errors)")
            let keys = berth.state + "/orchestrator/keys"
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: keys)
            try await starts(berth, says: "Berth did not start: \(keys) is open to other users (mode 0644) — chmod 600 \(keys)")
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: keys)

            let database = berth.state + "/orchestrator/orchestrator.db"
            let parts = ["", "-wal", "-shm"].map { database + $0 }.filter { FileManager.default.fileExists(atPath: $0) }
            for part in parts { try FileManager.default.moveItem(atPath: part, toPath: part + ".away") }
            try Data(repeating: 65, count: 8_192).write(to: URL(fileURLWithPath: database))
            chmod(database, 0o600)
            try await starts(berth, says: "Berth did not start: \(database) is damaged — restore it from a backup")
            for part in ["", "-wal", "-shm"].map({ database + $0 }) { try? FileManager.default.removeItem(atPath: part) }
            for part in parts { try FileManager.default.moveItem(atPath: part + ".away", toPath: part) }

            try FileManager.default.moveItem(atPath: keys, toPath: keys + ".away")
            try await starts(berth, says: "Berth did not start: *")
            try FileManager.default.moveItem(atPath: keys + ".away", toPath: keys)
            try await berth.up()
        }
    }

    private func starts(_ berth: Berth, says line: String, _ location: SourceLocation = #_sourceLocation) async throws {
        let row = BadInput("up", "--listen", "127.0.0.1:\(berth.port)", "--detach", says: line)
        let result = try await berth.run(row.arguments)
        if let complaint = row.fits(result) { Issue.record("\(complaint)\n\(berth.log)", sourceLocation: location) }
        for name in ["supervise", "orchestrator", "gateway"] {
            let isGone = await eventually { (try? berth.pid(of: name)) == nil }
            #expect(isGone, "\(name) runs on", sourceLocation: location)
        }
        #expect(!FileManager.default.fileExists(atPath: "/run/berth/\(try berth.key)"), sourceLocation: location)
    }

    /// Anybody may look and may use the bridge; machines are root's.
    @Test func withoutRoot() async throws {
        let folder = try Self.scratch()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        chmod(folder, 0o755)
        let binary = folder + "/berth"
        try FileManager.default.copyItem(atPath: Repository.binary("berth"), toPath: binary)
        try FileManager.default.copyItem(atPath: Repository.fixture("fixture.py"), toPath: folder + "/server.py")
        for file in [binary, folder + "/server.py"] { chmod(file, 0o755) }
        let nobody = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary]
        let environment = ["XDG_STATE_HOME": folder + "/none", "HOME": "/nonexistent"]

        let up = BadInput(
            "up", "--detach", "--listen", "127.0.0.1:19999",
            says: "berth up needs root: machines are user namespaces, mounts and cgroups of this host — "
                + "sudo \(binary) up --detach --listen 127.0.0.1:19999; bridge and doctor work for anybody")
        let refused = try await Command.run(nobody + up.arguments, environment: environment)
        if let complaint = up.fits(refused) { Issue.record("\(complaint)") }
        #expect(!FileManager.default.fileExists(atPath: folder + "/none"))

        // The remedy is the same command, for a shell, with the state that sudo would forget.
        let show = BadInput(
            "connector", "show", "it's",
            says: "berth connector show needs root: Berth's sockets are root's — sudo \(binary) connector show 'it'\\''s' --state /srv/b")
        let refusedShow = try await Command.run(nobody + show.arguments, environment: environment.merging(["BERTH_STATE": "/srv/b"]) { $1 })
        if let complaint = show.fits(refusedShow) { Issue.record("\(complaint)") }

        let doctor = try await Command.run(nobody + ["doctor", "--json"], environment: environment)
        let layers = try #require(doctor.lastJSON?["layers"] as? [[String: Any]], "\(doctor.output) \(doctor.errors)")
        let privilege = layers.first { $0["name"] as? String == "privilege" }
        #expect(privilege?["state"] as? String == "missing" && privilege?["remedy"] != nil)
        let text = try await Command.run(nobody + ["doctor"], environment: environment)
        #expect(doctor.status == 1 && text.status == 1, "what is missing is an error in both forms")

        let bridge = try Background(
            nobody + ["bridge", "--port", "0", "--", "/usr/bin/python3", folder + "/server.py"], environment: environment, in: folder)
        defer { bridge.end() }
        let line = try await bridge.line { $0.contains("http://127.0.0.1:") }
        let url = try #require(line.split(separator: " ").first { $0.hasPrefix("http://") }.map(String.init), "\(line)")
        let answer = try await RawClient(url: url, token: nil).call("echo", ["text": "no root"])
        #expect(answer.text?.contains("no root") == true, "\(answer.json)")
        let port = url.split(separator: ":").last?.prefix { $0.isNumber } ?? ""
        let second = try await Command.run(
            nobody + ["bridge", "--port", String(port), "--", "/usr/bin/python3", folder + "/server.py"], environment: environment, seconds: 120)
        #expect(second.status == 1, "\(second.status) \(second.output) \(second.errors)")
        #expect(second.errors.split(separator: "\n").last?.hasPrefix("berth: port \(port) is in use") == true, "\(second.errors)")
        let low = BadInput("bridge", "--port", "80", "--", "true", says: "port 80 is root's alone — choose one from 1024 on with --port PORT")
        // Where the host gives low ports to everybody there is nothing to refuse.
        let first = try String(contentsOfFile: "/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding: .utf8)
        if let first = Int(first.trimmingCharacters(in: .whitespacesAndNewlines)), first > 80 {
            let refusal = try await Command.run(nobody + low.arguments, environment: environment)
            if let complaint = low.fits(refusal) { Issue.record("\(complaint)") }
        }
        #expect(await bridge.end(SIGTERM) == 0)
    }
}
