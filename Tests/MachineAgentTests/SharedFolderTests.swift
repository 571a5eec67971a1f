import CLinux
import Glibc
import JSONText
import TestSupport
import Testing

/// What sessions of one machine leave in one another's folders. The agent has shared directories of its own here, small
/// ones, so that whatever is left shows.
@Suite(.enabled(if: AgentRig.isPossible)) struct SharedFolderTests {
    /// B's full directory in A's, which only B may empty and only A may remove; deep, so that A's own removal moves it about.
    @Test(arguments: [["a", "b"], ["b", "a"]], [0, 200]) func aPairLeavesNothing(order: [String], levels: Int) async throws {
        try await with { rig in
            try await rig.run("a", Self.folder("/tmp/a", levels: levels))
            let full = Self.folder("b") + "open('b/f', 'w').write('x')\nos.chmod('b', 0o700)"
            try await rig.run("b", "os.chdir('/tmp/a')\n" + Self.descend(levels) + full)
            try await rig.run("b", "os.chdir('/tmp/a')\nopen('plain', 'w').write('x')")
            for session in order { try await rig.end(session) }
            try await rig.expectNothing()
        }
    }

    /// Each one's directory in the directory of the one before, twice around.
    @Test(arguments: [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"], ["b", "a", "c"]]) func aChainLeavesNothing(order: [String]) async throws {
        try await with { rig in
            var path = "/dev/shm"
            for session in ["a", "b", "c", "a", "b", "c"] {
                path += "/" + session
                try await rig.run(session, Self.folder(path))
                try await rig.run(session, "open('\(path)/f', 'w').write('x')")
            }
            // Closed to all but their owners, from the innermost outwards.
            for session in ["c", "b", "a", "c", "b"] {
                try await rig.run(session, "os.chmod('\(path)', 0o755)")
                path = String(path.dropLast(2))
            }
            for session in order { try await rig.end(session) }
            try await rig.expectNothing()
        }
    }

    /// Others end around it, in whose folders it has its own: nothing is taken from it, and of what it cannot keep them from
    /// nothing stays.
    @Test func aLivingSessionKeepsItsFiles() async throws {
        try await with { rig in
            try await rig.run("a", Self.folder("/tmp/a"))
            try await rig.run("live", Self.folder("/tmp/a/full") + "open('/tmp/a/full/f', 'w').write('kept')\nos.chmod('/tmp/a/full', 0o700)")
            try await rig.run("live", "open('/tmp/a/plain', 'w').write('kept')\nopen('/tmp/own', 'w').write('kept')")
            try await rig.run("b", Self.folder("/tmp/b") + "open('/tmp/b/f', 'w').write('x')")
            try await rig.end("a")
            try await rig.end("b")
            let uid = try #require(try await rig.run("live", "answer = str(os.getuid())").flatMap { Int($0) })
            await eventually("of the others only what holds it is left") {
                rig.entries().filter { $0.uid != uid }.map(\.path) == ["/tmp/a"]
            }
            #expect(try await rig.run("live", "answer = open('/tmp/a/full/f').read() + open('/tmp/own').read()") == "keptkept")
            // What lay open in the other's was moved out of it, to a name of ours.
            #expect(try await rig.run("live", "import glob\nanswer = ''.join(open(f).read() for f in glob.glob('/tmp/.berth-*'))") == "kept")
            #expect(try await rig.run("live", "open('/tmp/a/full/g', 'w').write('x')\nanswer = 'written'") == "written")
            try await rig.end("live")
            try await rig.expectNothing()
        }
    }

    /// Deep and full: the next session sees all of the space free.
    @Test(arguments: [140, 1_000]) func whatASessionFillsIsFreeForTheNext(levels: Int) async throws {
        try await with { rig in
            let free = "s = os.statvfs('/tmp')\nanswer = '%d %d' % (s.f_bavail, s.f_ffree)"
            let before = try await rig.run("before", free)
            try await rig.end("before")
            let filled = try await rig.run(
                "attacker", Self.folder("/tmp/zy") + "os.chdir('/tmp/zy')\n"
                    + "for _ in range(\(levels)):\n os.mkdir('d'); os.chdir('d')\n"
                    + """
                    try:
                        for n in range(10_000): open('i%d' % n, 'w').close()
                    except OSError as e: pass
                    os.unlink('i0')
                    try:
                        with open('f', 'wb', buffering=0) as f:
                            while True: f.write(b'x' * 65536)
                    except OSError as e: pass
                    s = os.statvfs('/tmp')
                    answer = '%d %d' % (s.f_bavail, s.f_ffree)
                    """)
            #expect(filled == "0 0")
            try await rig.end("attacker")
            #expect(try await rig.run("next", free) == before)
        }
    }

    /// Not even to whom an access list names: what holds another's grows no more.
    @Test func whatIsLeftIsClosed() async throws {
        try await with { rig in
            let uid = try #require(try await rig.run("live", "answer = str(os.getuid())"))
            try await rig.run(
                "a",
                Self.folder("/tmp/a")
                    + """
                    import struct
                    entries = [(1, 7, -1), (2, 7, \(uid)), (4, 7, -1), (16, 7, -1), (32, 7, -1)]
                    acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *e) for e in entries)
                    os.setxattr('/tmp/a', 'system.posix_acl_access', acl)
                    """)
            try await rig.run("live", Self.folder("/tmp/a/full") + "open('/tmp/a/full/f', 'w').close()\nos.chmod('/tmp/a/full', 0o700)")
            try await rig.end("a")
            let refused = "\ntry: open('/tmp/a/new', 'w').close()\nexcept PermissionError: answer = 'refused'"
            #expect(try await rig.run("live", "answer = str(os.path.exists('/tmp/a/full/f'))" + refused) == "refused")
            try await rig.end("live")
            try await rig.expectNothing()
        }
    }

    /// One that lives holds another's folder up, however often others end: the log has it once.
    @Test func whatIsStuckIsToldOnce() async throws {
        try await with { rig in
            try await rig.run("a", Self.folder("/tmp/a") + "answer = str(os.getuid())")
            let uid = try #require(try await rig.run("a", "answer = str(os.getuid())"))
            try await rig.run("live", Self.folder("/tmp/a/full") + "open('/tmp/a/full/f', 'w').close()\nos.chmod('/tmp/a/full', 0o700)")
            try await rig.end("a")
            for number in 0..<5 {
                try await rig.run("other\(number)", "open('/tmp/x\(number)', 'w').close()")
                try await rig.end("other\(number)")
            }
            await eventually("it is told") { rig.log.contains("files of uid \(uid) are left") }
            let lines = rig.log.split(separator: "\n")
            #expect(lines.count { $0.contains("are left in") } == 1)
            #expect(lines.count { $0.contains("clean-up after a server failed") } == 1)
            try await rig.end("live")
            await eventually("the end of it is told") { rig.log.contains("nothing is left any more of the ended session with uid \(uid)\n") }
        }
    }

    /// A living session gives the files of one that ends new names as fast as it can.
    @Test func whoLinksAnothersFilesCannotHoldUpItsRemoval() async throws {
        try await with { rig in
            let uid = try #require(try await rig.run("x", "answer = str(os.getuid())"))
            try await rig.run("x", "open('/tmp/x', 'w').close()\nos.chmod('/tmp/x', 0o666)")
            let linked = try await rig.run(
                "y",
                """
                os.link('/tmp/x', '/tmp/y-0')
                pids = []
                for worker in range(2):
                    pids.append(os.fork())
                    if pids[-1] == 0:
                        os.setsid()
                        os.dup2(os.open('/dev/null', os.O_RDWR), 1)
                        n = 0
                        while True:
                            n += 1
                            for name in ('/tmp/x', '/tmp/y-0', '/tmp/y-%d-%d' % (worker, n % 400)):
                                try: os.link(name, '/tmp/y-%d-%d' % (worker, (n + 1) % 400))
                                except OSError: pass
                answer = ' '.join(map(str, pids))
                """)
            let daemons = linked?.split(separator: " ").compactMap { Int($0) } ?? []
            try #require(daemons.count == 2, "\(linked ?? "")")
            try await rig.end("x")
            await eventually("nothing of it is left") { !rig.entries().contains { $0.uid == Int(uid) } }
            #expect(try await rig.run("next", "answer = 'here'") == "here")
            try await rig.end("y")
            await eventually("they are gone") { !daemons.contains { exists($0) } }
        }
    }

    /// A process that stops or kills whatever comes under its uid, the removal of what its session left among it.
    @Test(arguments: [SIGSTOP, SIGKILL]) func whatStopsItsRemovalIsEndedAllTheSame(signal: Int32) async throws {
        try await with { rig in
            let sessions = (0..<5).map { "s\($0)" }
            var servers: [Int] = []
            var daemons: [Int] = []
            for session in sessions {
                let pids = try #require(try await rig.run(session, Self.stopper(signal))).split(separator: " ").compactMap { Int($0) }
                try #require(pids.count == 2)
                servers.append(pids[0])
                daemons.append(pids[1])
            }
            try rig.create("/tmp/go")
            for server in servers {
                await eventually("it reaches its session's server") {
                    let state = rig.contents("/proc/\(server)/stat")
                    return signal == SIGSTOP ? state.contains(") T ") : state.isEmpty || state.contains(") Z ")
                }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for session in sessions { group.addTask { try await rig.end(session) } }
                try await group.waitForAll()
            }
            await eventually("they are gone") { !daemons.contains { exists($0) } }
        }
    }

    /// Begins when `/tmp/go` is there: its session's server has answered by then.
    private static func stopper(_ signal: Int32) -> String {
        """
        import time
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork(): os._exit(0)
            os.write(writer, str(os.getpid()).encode())
            for fd in range(100):
                try: os.close(fd)
                except OSError: pass
            while not os.path.exists('/tmp/go'): time.sleep(0.005)
            while True:
                try: os.kill(-1, \(signal))
                except OSError: pass
        os.wait()
        answer = '%d %s' % (os.getpid(), os.read(reader, 32).decode())
        """
    }

    private func with(_ body: (AgentRig) async throws -> Void) async throws {
        try await AgentRig.with("runs_code.py", ownFolders: true) { rig in try await body(rig) }
    }

    /// One that everybody may write, with as many below it.
    private static func folder(_ path: String, levels: Int = 0) -> String {
        "os.umask(0)\nhere = os.getcwd()\nos.mkdir('\(path)')\n"
            + (levels == 0 ? "" : "os.chdir('\(path)')\nfor _ in range(\(levels)):\n os.mkdir('d'); os.chdir('d')\n") + "os.chdir(here)\n"
    }

    private static func descend(_ levels: Int) -> String { levels == 0 ? "" : "for _ in range(\(levels)): os.chdir('d')\n" }
}

extension AgentRig {
    @discardableResult fileprivate func run(_ session: String, _ code: String) async throws -> String? {
        let arguments = JSONValue.object(JSONObject([("code", .string("import os\n" + code))]))
        let answer = try await call("run", arguments.text, session: session)
        #expect(answer.json?["result"]?["isError"] != true, "\(answer.body)")
        return answer.text
    }

    fileprivate func end(_ session: String) async throws { #expect(try await request("DELETE", "/sessions/" + session).status == 200) }

    /// An empty file of root's where the agent and its sessions see it.
    fileprivate func create(_ path: String) throws {
        let descriptor = open("/proc/\(pid)/root" + path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw POSIXProblem(step: "open \(path)") }
        close(descriptor)
    }

    /// What is in the shared directories of the agent's own.
    fileprivate func entries() -> [(path: String, uid: Int)] {
        ["/tmp", "/var/tmp", "/dev/shm"].flatMap { root -> [(String, Int)] in
            guard let directory = opendir("/proc/\(pid)/root" + root) else { return [(root, -1)] }
            defer { closedir(directory) }
            var found: [(String, Int)] = []
            while let name = clinux_next_name(directory) {
                var info = stat()
                if fstatat(dirfd(directory), name, &info, AT_SYMLINK_NOFOLLOW) == 0 {
                    found.append((root + "/" + String(cString: name), Int(info.st_uid)))
                }
            }
            return found
        }
    }

    fileprivate func contents(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    fileprivate func expectNothing() async throws {
        await eventually("nothing is left") { entries().isEmpty }
        #expect(entries().map(\.path) == [], "\(log.suffix(1500))")
    }
}
