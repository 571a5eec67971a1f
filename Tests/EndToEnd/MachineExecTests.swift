import Foundation
import TestSupport
import Testing

/// `berth machines exec` at a real connector: what a command reaches there, what is written of it, and what is left after a kill.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct MachineExecTests {
    private func ready(_ berth: Berth, _ options: [String] = ["--exec"]) async throws -> RawClient {
        try await berth.up(options)
        let secret = (berth.state as NSString).deletingLastPathComponent + "/secret"
        try "hunter2-hunter2".write(toFile: secret, atomically: true, encoding: .utf8)
        let source = (berth.state as NSString).deletingLastPathComponent + "/source"
        try FileManager.default.createDirectory(atPath: source, withIntermediateDirectories: true)
        for name in ["runs_code.py", "fixture.py"] {
            try FileManager.default.copyItem(atPath: Repository.fixture(name), toPath: "\(source)/\(name)")
        }
        try await berth.json(
            ["connector", "add", "fixture", "--dir", source, "--secret", "API_KEY=@\(secret)"], behind: ["/usr/bin/python3", "runs_code.py"])
        try await berth.json(["vmcp", "create", "office", "fixture"])
        let alice = try await berth.token(for: "alice", vmcp: "office")
        return RawClient(url: alice.url, token: alice.token)
    }

    /// A base system has no shell.
    private func python(_ berth: Berth, _ code: String, _ options: [String] = [], input: String? = nil) async throws -> CommandResult {
        try await exec(berth, ["python3", "-c", code], options, input: input)
    }

    private func exec(_ berth: Berth, _ words: [String], _ options: [String] = [], input: String? = nil) async throws -> CommandResult {
        try await berth.run(["machines", "exec", "fixture"] + options + ["--"] + words, input: input)
    }

    private func rows(_ berth: Berth) async throws -> [[String: Any]] { try await berth.audit().filter { $0["method"] as? String == "exec" } }

    /// The users of the machines' processes, as the machines number them.
    private func users(_ berth: Berth) throws -> [Int] {
        let cgroup = "/berth-\(try berth.key)/"
        return try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }.compactMap { pid in
            func file(_ name: String) -> String { (try? String(contentsOfFile: "/proc/\(pid)/\(name)", encoding: .utf8)) ?? "" }
            guard file("cgroup").contains(cgroup),
                let base = file("uid_map").split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) }),
                let user = file("status").split(separator: "\n").first(where: { $0.hasPrefix("Uid:") })?.split(separator: "\t").dropFirst().first
            else { return nil }
            return Int(user).map { $0 - base }
        }
    }

    @Test func aCommandItsRowAndItsEvent() async throws {
        try await Berth.run { berth in
            let client = try await ready(berth)
            #expect(try await client.call("run", ["code": "answer = 'up'"]).text == "up")
            let machine = try await berth.machine()

            let first = try await python(
                berth, "import os, sys; print(os.getuid()); print(sys.stdin.read(), end=''); print('no', file=sys.stderr); sys.exit(7)", ["--stdin"],
                input: "what it reads\n")
            #expect(first.status == 7 && first.output == "65000\nwhat it reads\n" && first.errors == "no\n", "\(first) \(berth.log)")
            let told = try await berth.run(["machines", "exec", machine.machine, "--json", "--", "python3", "-c", "print(1+1)"])
            #expect(told.status == 0 && told.lastJSON?["stdout"] as? String == "2\n" && told.lastJSON?["exit_code"] as? Int == 0, "\(told)")
            let late = try await python(berth, "import time; time.sleep(100)", ["--timeout", "1"])
            #expect(late.status == 124 && late.errors.contains("its time was over"), "\(late)")
            let missing = try await exec(berth, ["nosuch"])
            #expect(missing.status == 1 && missing.errors.contains("nosuch"), "\(missing)")
            // A secret that somebody writes into the words is not kept; anything else of them is.
            #expect(try await exec(berth, ["python3", "-c", "import sys; print(*sys.argv[1:])", "hunter2-hunter2", "plain"]).output == "hunter2-hunter2 plain\n")

            let rows = try await rows(berth)
            #expect(rows.count == 5, "\(rows)")
            for row in rows {
                #expect(row["outcome"] as? String == "allowed" && row["principal"] as? String == "local:root" && row["connector"] as? String == "fixture")
                #expect(row["machine"] as? String == machine.machine && row["boot"] as? String == machine.boot)
            }
            let arguments = rows.compactMap { "\($0["arguments"] ?? "")" }
            #expect(arguments.contains { $0.contains("sys.exit(7)") } && !"\(rows)".contains("what it reads"), "\(arguments)")
            #expect(!"\(rows)".contains("hunter2-hunter2") && arguments.contains { $0.contains("plain") })
            #expect(try await berth.run(["audit", "verify"]).status == 0)

            let events = try await berth.json(["machines", "events", "fixture"])["events"] as? [[String: Any]] ?? []
            let reasons = events.filter { $0["type"] as? String == "exec" }.map { "\($0["reason"] ?? "")" }
            #expect(reasons.count == 5 && reasons.last?.hasPrefix("python3: exit code 7") == true && reasons.contains { $0.contains("time was over") }, "\(reasons)")
            // The server did not notice.
            #expect(try await client.call("run", ["code": "answer = 'up'"]).text == "up")
            #expect(try await berth.machine() == machine)
        }
    }

    @Test func whatACommandCannotReach() async throws {
        try await Berth.run { berth in
            let client = try await ready(berth)
            let told = try await client.call(
                "run", ["code": "import os\nanswer = str(os.getpid()) + ' ' + str(os.getuid()) + ' ' + os.environ['HOME'] + ' ' + str('API_KEY' in os.environ)"])
            let words = try #require(told.text, "\(told.json)").split(separator: " ").map(String.init)
            let (child, home) = (words[0], words[2])
            #expect(words[3] == "True", "the child has a secret to find")
            let attacks = """
                import os, signal, ctypes, socket, glob
                child, home = \(child), '\(home)'
                libc = ctypes.CDLL(None, use_errno=True)
                def tried(what, body):
                    try:
                        got = body()
                        print('REACHED', what, got)
                    except (OSError, PermissionError, FileNotFoundError, ProcessLookupError) as error:
                        pass
                def ptrace(pid):
                    if libc.ptrace(16, pid, 0, 0) != 0: raise OSError(ctypes.get_errno(), 'ptrace')
                def readv(pid):
                    if libc.process_vm_readv(pid, None, 0, None, 0, 0) != 0: raise OSError(ctypes.get_errno(), 'readv')
                for pid in (1, child):
                    for name in ('environ', 'maps', 'mem', 'fd/0', 'cwd', 'root', 'status', 'cmdline'):
                        tried('%s of %d' % (name, pid), lambda: open('/proc/%d/%s' % (pid, name), 'rb').read(1))
                    tried('list fd of %d' % pid, lambda: os.listdir('/proc/%d/fd' % pid))
                    tried('signal 0 %d' % pid, lambda: os.kill(pid, 0))
                    tried('signal 9 %d' % pid, lambda: os.kill(pid, signal.SIGKILL))
                    tried('ptrace %d' % pid, lambda: ptrace(pid))
                    tried('readv %d' % pid, lambda: readv(pid))
                    tried('priority %d' % pid, lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
                tried('home', lambda: os.listdir(home))
                tried('write into home', lambda: open(home + '/x', 'w'))
                for name in glob.glob('/run/berth/*') + ['/run/berth/door.sock', '/run/berth/egress.sock']:
                    tried('connect ' + name, lambda: socket.socket(socket.AF_UNIX).connect(name))
                with open('/proc/net/unix') as table:
                    doors = [line.split()[-1] for line in table if line.split()[-1].startswith('@')]
                for name in doors: tried('connect ' + name, lambda: socket.socket(socket.AF_UNIX).connect('\\0' + name[1:]))
                for uid in (0, 1000, int(os.getuid()) + 1):
                    tried('become %d' % uid, lambda: os.setuid(uid))
                    tried('group %d' % uid, lambda: os.setgid(uid))
                tried('groups', lambda: os.setgroups([0]))
                tried('connect out', lambda: socket.create_connection(('1.1.1.1', 443), 2))
                tried('root', lambda: open('/x', 'w'))
                for pid in os.listdir('/proc'):
                    if pid.isdigit() and os.stat('/proc/' + pid).st_uid != os.getuid(): print('REACHED process', pid)
                print(sorted(key for key in os.environ if key not in ('PATH', 'HOME', 'LANG', 'LC_CTYPE')), sorted(os.listdir('/proc/self/fd')), os.getgroups())
                """
            let result = try await python(berth, attacks)
            #expect(result.status == 0 && result.output == "[] ['0', '1', '2', '3'] []\n", "\(result)")
            // The same child, of the same session, as before.
            #expect(try await client.call("run", ["code": "import os\nanswer = str(os.getpid())"]).text == child)
            // And the other way round: what the server finds of a command.
            async let running = python(berth, "import time; time.sleep(30)", ["--timeout", "20"])
            let isThere = await eventually { (try? users(berth))?.contains(65_001) == true }
            #expect(isThere)
            let looked = try await client.call(
                "run", ["code": "import os\nanswer = str([p for p in os.listdir('/proc') if p.isdigit() and os.stat('/proc/' + p).st_uid > 60000])"])
            #expect(looked.text == "[]", "\(looked.json)")
            _ = try await running
        }
    }

    /// The orchestrator is killed in the middle of a command that has gone into the background and ignores every signal that it can.
    @Test func nothingStaysOfACommandWhoseOrchestratorWasKilled() async throws {
        try await Berth.run { berth in
            let client = try await ready(berth)
            let child = try await client.call("run", ["code": "import os\nanswer = str(os.getpid())"]).text
            let machine = try await berth.machine()
            let code = """
                import os, signal, time
                for number in range(1, 32):
                    try: signal.signal(number, signal.SIG_IGN)
                    except OSError: pass
                for _ in range(3):
                    if os.fork() == 0: os.setsid()
                while True: time.sleep(1)
                """
            async let broken = python(berth, code, ["--timeout", "600"])
            let runs = await eventually { (try? users(berth))?.filter { $0 == 65_000 }.count ?? 0 >= 8 }
            #expect(runs, "\(berth.log)")
            kill(try berth.pid(of: "orchestrator"), SIGKILL)
            #expect(try await broken.status != 0)
            let isGone = await eventually { (try? users(berth))?.contains { $0 >= 65_000 } == false }
            #expect(isGone, "\(berth.log)")
            let isBack = await eventually { (try? await berth.machine()) == machine }
            #expect(isBack, "\(berth.log)")
            #expect(try await client.call("run", ["code": "import os\nanswer = str(os.getpid())"]).text == child, "the session did not notice")
            let events = try await berth.json(["machines", "events", "fixture"])["events"] as? [[String: Any]] ?? []
            let told = events.filter { $0["type"] as? String == "exec" }.map { "\($0["reason"] ?? "")" }
            #expect(told.count == 1 && told[0].hasPrefix("its end is unknown"), "\(told)")
            #expect(try await python(berth, "pass").status == 0, "and commands run again")
            #expect(try await rows(berth).count == 2)
        }
    }

    @Test func offAndRefused() async throws {
        try await Berth.run { berth in
            _ = try await ready(berth, [])
            let off = try await exec(berth, ["id"])
            #expect(off.status == 1 && off.errors.contains("switched off on this host") && off.errors.contains("--exec"), "\(off)")
            let other = try await berth.run(["up", "--listen", "127.0.0.1:\(berth.port)", "--detach", "--exec"])
            #expect(other.status == 1 && other.errors.contains("no --exec"), "\(other)")
            #expect(try await berth.run(["down"]).status == 0)

            let up = try await berth.up(["--exec"])
            #expect((up["machines_exec_token"] as? String)?.hasPrefix("berth_") == true)
            try await berth.json(["machines", "start", "fixture"])
            #expect(try await python(berth, "import os; print(os.getuid())").output == "65000\n")
            for words in [["machines", "exec", "fixture"], ["machines", "exec", "fixture", "--timeout", "601", "--", "id"]] {
                #expect(try await berth.run(words).status == 64)
            }
            try await berth.json(["machines", "suspend", "fixture"])
            let suspended = try await exec(berth, ["id"])
            #expect(suspended.status == 1 && suspended.errors.contains("current state: 'suspended'"), "\(suspended)")
            // Without a gateway there is no row, and without a row no command.
            try await berth.json(["machines", "start", "fixture"])
            let before = try await rows(berth).count
            kill(try berth.pid(of: "gateway"), SIGSTOP)
            let silent = try await python(berth, "open('/tmp/ran', 'w')")
            kill(try berth.pid(of: "gateway"), SIGCONT)
            #expect(silent.status == 1 && silent.errors.contains("its audit row could not be written"), "\(silent)")
            #expect(try await python(berth, "import os; os.stat('/tmp/ran')").status == 1, "it did not run")
            #expect(try await rows(berth).count >= before + 1)
        }
    }
}
