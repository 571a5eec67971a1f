import Foundation
import Glibc
import TestSupport
import Testing

@testable import Orchestrator

/// Commands run in real machines, and what they try there.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct OCIExecTests {
    /// A machine with a first process as the agent is, and a child of another user that has a secret in its environment.
    private func withMachine(
        _ script: String = "", runtimePath: String = "", change: (inout MachineSpec) -> Void = { _ in },
        _ body: (OCITestHost, MachineSpec) async throws -> Void
    ) async throws {
        try await withOCIHost(runtimePath: runtimePath) { host in
            var spec = host.spec("\(script)\necho ready; while :; do b sleep 1; done")
            change(&spec)
            let lines = Collected<String>()
            _ = try await host.runtime.create(spec)
            host.runtime.log.observe(spec.machine, boot: spec.boot) { lines.append($0) }
            try await host.runtime.start(spec.machine, boot: spec.boot)
            _ = try await eventually("the machine") { lines.values.contains("ready") ? true : nil }
            try await body(host, spec)
            #expect(host.runtime.commands(spec.machine, boot: spec.boot) == 0)
            #expect(users(host, spec).allSatisfy { $0 < 65_000 }, "nothing of a command is left")
            #expect(cgroups(host, spec) == [])
        }
    }

    private func exec(
        _ host: OCITestHost, _ spec: MachineSpec, _ script: String, input: String = "", seconds: Int = 60
    ) async throws -> ExecResult {
        let command = ExecCommand(
            arguments: ["/bin/busybox", "sh", "-c", "PATH=/bin; alias b=/bin/busybox\n" + script], input: Array(input.utf8),
            timeout: .seconds(seconds))
        return try await host.runtime.exec(spec.machine, boot: spec.boot, command) {}
    }

    private func text(_ output: ExecResult.Output) -> String { String(decoding: output.bytes, as: UTF8.self) }

    private func cgroup(_ host: OCITestHost, _ spec: MachineSpec) -> String {
        host.configuration.cgroup(BootName(machine: spec.machine, boot: spec.boot))
    }

    private func cgroups(_ host: OCITestHost, _ spec: MachineSpec) -> [String] {
        CgroupTree.detect(hybridIsCovered: true).children(of: cgroup(host, spec)).sorted()
    }

    /// The users of the machine's processes, as it numbers them.
    private func users(_ host: OCITestHost, _ spec: MachineSpec) -> [Int] {
        CgroupTree.detect(hybridIsCovered: true).processes(cgroup(host, spec)).compactMap { pid in
            Files.read("/proc/\(pid)/status")?.split(separator: "\n").first { $0.hasPrefix("Uid:") }?.split(separator: "\t").dropFirst().first
                .flatMap { Int($0) }.map { $0 - MachineSpec.uidBase(slot: spec.slot) }
        }
    }

    static let runtimes = ["", OCITestHost.runc ?? ""].reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }

    @Test("a command's user, rights, filter, limits, environment, descriptors and cgroup, with each runtime", arguments: runtimes)
    func insideView(runtime: String) async throws {
        try await withMachine(runtimePath: runtime) { (host, spec) async throws in
            let result = try await exec(
                host, spec,
                """
                b grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid)' /proc/self/status
                b env
                # With runc it has the machine's for a moment.
                until [ "$(b cat /proc/self/oom_score_adj)" = 1000 ]; do :; done; echo oom 1000
                echo mask $(umask) nproc $(ulimit -u) files $(ulimit -n) core $(ulimit -c)
                echo cgroup $(b grep -c exec-65000 /proc/self/cgroup) $(b grep -vc exec-65000 /proc/self/cgroup)
                echo folder $(b pwd)
                for f in /proc/self/fd/*; do echo "fd $f"; done
                b id >&2; b cat; exit 7
                """, input: "what it reads\n")
            #expect(result.exitCode == 7 && result.signal == 0 && result.ending == .itself && !result.outOfMemory, "\(result)")
            let lines = text(result.output).split(separator: "\n").map(String.init)
            for line in [
                "Uid:\t65000\t65000\t65000\t65000", "Gid:\t65000\t65000\t65000\t65000", "CapEff:\t0000000000000000",
                "CapPrm:\t0000000000000000", "CapInh:\t0000000000000000", "CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000",
                "NoNewPrivs:\t1", "Seccomp:\t2", "oom 1000", "mask 0077 nproc 32 files 1024 core 0", "what it reads",
                "folder /", "HOME=/tmp", "LANG=C.UTF-8",
            ] { #expect(lines.contains(line), "\(line) in \(lines)") }
            #expect(lines.contains { $0.hasPrefix("Groups:") && $0.dropFirst(7).allSatisfy(\.isWhitespace) }, "\(lines)")
            // The shell opens the folder itself to list it.
            #expect(Set(lines.filter { $0.hasPrefix("fd ") }).isSubset(of: ["fd /proc/self/fd/0", "fd /proc/self/fd/1", "fd /proc/self/fd/2", "fd /proc/self/fd/3"]))
            let names = Set(lines.filter { $0.contains("=") && !$0.contains(" ") }.map { $0.prefix { $0 != "=" } })
            #expect(names.subtracting(["PATH", "HOME", "LANG", "SHLVL", "PWD", "OLDPWD", "_"]) == [], "\(names)")
            #expect(text(result.errors).hasPrefix("uid=65000 gid=65000"))

            let second = try await exec(host, spec, "b grep ^Uid /proc/self/status")
            #expect(text(second.output).contains("65001"), "the next one is another user")
        }
    }

    /// What is a child's in a real machine is another command's here; `EndToEnd/MachineExecTests` tries the same at a server.
    @Test("from inside a command: the first process, other users' and the host are out of reach")
    func attacks() async throws {
        try await withMachine { (host, spec) async throws in
            async let other = exec(host, spec, "SECRET=hunter2 b sleep 1000")
            let victim = try await eventually("the other user's process") {
                CgroupTree.detect(hybridIsCovered: true).processes(cgroup(host, spec)).first {
                    Files.read("/proc/\($0)/environ")?.contains("SECRET=hunter2") == true
                }
            }
            // Its number inside, which the command could not find out by itself.
            let inner = try #require(
                Files.read("/proc/\(victim)/status")?.split(separator: "\n").first { $0.hasPrefix("NSpid:") }?.split(separator: "\t").last)
            let result = try await exec(
                host, spec,
                """
                C=\(inner)
                for p in 1 $C; do
                  b cat /proc/$p/environ >/dev/null 2>&1 && echo "read environ $p"
                  b cat /proc/$p/maps >/dev/null 2>&1 && echo "read maps $p"
                  b ls /proc/$p/fd >/dev/null 2>&1 && echo "read fd $p"
                  b ls /proc/$p/root/ >/dev/null 2>&1 && echo "read root $p"
                  kill -9 $p 2>/dev/null && echo "killed $p"
                  kill -STOP $p 2>/dev/null && echo "stopped $p"
                  b test -e /proc/$p/status && echo "sees $p"
                done
                b grep -l hunter2 /proc/[0-9]*/environ 2>/dev/null | b grep . && echo "found the secret"
                b unshare -r b true 2>/dev/null && echo unshared
                b mount -t tmpfs x /tmp 2>/dev/null && echo mounted
                b touch /x 2>/dev/null && echo "wrote the root"
                b mknod /tmp/d c 1 1 2>/dev/null && echo device
                b ls /run/berth 2>/dev/null | b grep . && echo "sees a door"
                (echo -900 > /proc/self/oom_score_adj) 2>/dev/null && echo "spared itself"
                ulimit -u 4000 2>/dev/null && echo "raised its limit"
                echo done
                b kill -9 -1
                echo never
                """)
            // The last one is for everybody whom it may hit: that is its own shell alone.
            #expect(text(result.output) == "done\n" && result.signal == Int(SIGKILL), "\(result)")
            #expect(kill(victim, 0) == 0 && users(host, spec).contains(0) && users(host, spec).contains(65_000))
            kill(victim, SIGKILL)
            #expect(try await other.ending == .itself)
        }
    }

    @Test("what goes into the background ends with the command: other sessions, ignored signals, closed streams")
    func daemons() async throws {
        try await withMachine { (host, spec) async throws in
            let result = try await exec(
                host, spec,
                """
                B=/bin/busybox
                (trap '' HUP TERM INT; b setsid $B sleep 1000 >/dev/null 2>&1 </dev/null &)
                b setsid $B sh -c "($B sleep 1000 &) ; ($B sleep 1000 &) ; $B sleep 1000; true" &
                b setsid $B sleep 1000 &
                until [ $(b grep -l sleep /proc/[0-9]*/comm /proc/[0-9]*/cmdline 2>/dev/null | b wc -l) -ge 5 ]; do :; done
                echo five
                """)
            #expect(result.exitCode == 0 && text(result.output) == "five\n", "\(result)")
            #expect(users(host, spec).allSatisfy { $0 < 65_000 }, "they are over when the answer is there")
        }
    }

    @Test("a command whose time is over ends with all that it started, and tells what it had written")
    func timeout() async throws {
        try await withMachine { (host, spec) async throws in
            let result = try await exec(host, spec, "trap '' TERM; echo begun; (trap '' TERM; b sleep 1000) & b sleep 1000", seconds: 1)
            #expect(result.ending == .timeout && result.signal == Int(SIGKILL) && result.exitCode == 137 && text(result.output) == "begun\n", "\(result)")
        }
    }

    @Test("a fork bomb meets the user's own limit, the machine's first process can still start others, and all of it ends")
    func forkBomb() async throws {
        try await withMachine { (host, spec) async throws in
            async let bomb = exec(host, spec, "f() { f | f & f; }; f 2>/dev/null; b sleep 1000", seconds: 3)
            // Meanwhile another command of the same machine.
            let other = try await exec(host, spec, "echo still")
            #expect(text(other.output) == "still\n")
            let result = try await bomb
            #expect(result.exitCode != 0 || result.ending == .itself)
        }
    }

    @Test("1 MiB of each output is kept, the rest is counted, and nobody waits for room")
    func output() async throws {
        try await withMachine { (host, spec) async throws in
            let result = try await exec(host, spec, "b yes | b head -c 3000000; b yes no | b head -c 1500000 >&2; echo end")
            #expect(result.exitCode == 0)
            #expect(result.output.bytes.count == 1 << 20 && result.output.cut == 3_000_004 - (1 << 20))
            #expect(result.errors.bytes.count == 1 << 20 && result.errors.cut == 1_500_000 - (1 << 20))
            let endless = try await exec(host, spec, "b yes", seconds: 1)
            #expect(endless.ending == .timeout && endless.output.bytes.count == 1 << 20 && endless.output.cut > 0)
        }
    }

    @Test("an input that nobody reads, one that is read late, and one larger than a pipe")
    func input() async throws {
        try await withMachine { (host, spec) async throws in
            let large = String(repeating: "0123456789abcde\n", count: 16_384)
            #expect(try await exec(host, spec, "exit 3", input: large).exitCode == 3)
            let read = try await exec(host, spec, "b sleep 0.2; b wc -c", input: large)
            #expect(text(read.output).contains("262144"))
            #expect(text(try await exec(host, spec, "b cat; echo eof").output) == "eof\n")
        }
    }

    @Test("want of memory ends the command and not the machine's first process")
    func memory() async throws {
        try await withMachine { (host, spec) async throws in
            let result = try await exec(host, spec, "x=a; while :; do x=$x$x; done", seconds: 60)
            #expect(result.exitCode == 137 && result.outOfMemory, "\(result)")
            #expect(users(host, spec).contains(0))
        }
    }

    @Test("what is no program is told in the runtime's words, and leaves nothing", arguments: runtimes)
    func notThere(runtime: String) async throws {
        try await withMachine(runtimePath: runtime) { (host, spec) async throws in
            for program in ["nosuch", "/bin/nosuch", "/tmp", "/etc"] {
                let refusal = await #expect(throws: ExecRefusal.self) {
                    _ = try await host.runtime.exec(spec.machine, boot: spec.boot, ExecCommand(arguments: [program])) {}
                }
                guard case .notStarted = refusal else { Issue.record("\(program): \(String(describing: refusal))"); continue }
            }
            struct Refused: Error {}
            await #expect(throws: Refused.self) {
                _ = try await host.runtime.exec(spec.machine, boot: spec.boot, ExecCommand(arguments: ["/bin/busybox", "touch", "/tmp/ran"])) {
                    throw Refused()
                }
            }
            #expect(try await exec(host, spec, "b test -e /tmp/ran").exitCode == 1, "what was not admitted did not run")
        }
    }

    @Test("four at once in a machine, and the fifth is refused")
    func bounded() async throws {
        try await withMachine { (host, spec) async throws in
            await withThrowingTaskGroup(of: ExecResult.self) { group in
                for _ in 0..<4 { group.addTask { try await exec(host, spec, "b sleep 1000") } }
                _ = try? await eventually("four commands") { users(host, spec).filter { $0 >= 65_000 }.count >= 4 ? true : nil }
                #expect(Set(users(host, spec).filter { $0 >= 65_000 }).count == 4, "each is a user of its own")
                await #expect(throws: ExecRefusal.tooMany(4, inMachine: true)) { _ = try await exec(host, spec, "true") }
                // Whoever asked for them goes.
                group.cancelAll()
                while let result = await group.nextResult() {
                    #expect(throws: CancellationError.self) { try result.get() }
                }
            }
            #expect(users(host, spec).allSatisfy { $0 < 65_000 }, "cancelled commands are over when that is told")
        }
    }

    @Test("removing a machine ends its commands, whatever they are at")
    func removal() async throws {
        try await withOCIHost { host in
            for pause in [0, 2, 5, 10, 20, 40] {
                let spec = host.spec("while :; do b sleep 1; done")
                _ = try await host.runtime.create(spec)
                try await host.runtime.start(spec.machine, boot: spec.boot)
                async let one: ExecResult? = try? exec(host, spec, "b sleep 1000")
                async let two: ExecResult? = try? exec(host, spec, "b sleep 1000")
                try await Task.sleep(for: .milliseconds(pause))
                try await host.runtime.remove(spec.machine, boot: spec.boot)
                _ = await (one, two)
                #expect(host.leftovers() == [])
                #expect(host.runtime.commands(spec.machine, boot: spec.boot) == 0)
            }
        }
    }

    @Test("a successor that adopts the machine ends the commands of the one that was killed, and starts its own")
    func adoption() async throws {
        let first = try OCITestHost()
        let spec = first.spec("while :; do b sleep 1; done")
        _ = try await first.runtime.create(spec)
        try await first.runtime.start(spec.machine, boot: spec.boot)
        let orphaned = Task { try await exec(first, spec, "(trap '' HUP PIPE TERM; b setsid /bin/busybox sleep 1000 &) ; b sleep 1000") }
        _ = try await eventually("the command") { users(first, spec).filter { $0 == 65_000 }.count >= 2 ? true : nil }
        first.abandon()

        let second = try OCITestHost(directory: first.directory)
        _ = try #require(await second.runtime.adopt(spec.machine, boot: spec.boot))
        #expect(users(second, spec).allSatisfy { $0 == 0 }, "nothing of the command is left")
        #expect(cgroups(second, spec) == [])
        #expect(try await exec(second, spec, "echo here").exitCode == 0)
        _ = await orphaned.result
        try await second.close()
    }
}
