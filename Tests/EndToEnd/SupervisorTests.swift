import CLinux
import Foundation
import TestSupport
import Testing

@Suite(.enabled(if: Berth.isPossible), .serialized)
struct SupervisorTests {
    /// Descriptor 3 is `berth up`'s pipe, when it is one: started by hand, the supervisor has its lock there.
    @Test func startedByHandItKeepsItsLock() async throws {
        try await Berth.run { berth in
            // Makes the state; a supervisor takes it as it is.
            try await berth.up()
            #expect(try await berth.run(["down"]).status == 0)
            let supervisor = try Self.supervise(berth)
            let isUp = await eventually { (try? await berth.run(["status", "--json"], seconds: 20))?.status == 0 }
            #expect(isUp, "\(berth.log)")
            // Its line is said in the moment in which both are ready; then the lock must still be held, and hold its pid alone.
            let lock = open(berth.state + "/lock", O_RDWR | O_CLOEXEC)
            defer { close(lock) }
            let isLost = await eventually(within: 2) { flock(lock, LOCK_EX | LOCK_NB) == 0 }
            #expect(!isLost)
            #expect(try String(contentsOfFile: berth.state + "/lock", encoding: .utf8) == "\(supervisor)\n")
            kill(supervisor, SIGTERM)
            let hasEnded = await eventually {
                var status: Int32 = 0
                return waitpid(supervisor, &status, WNOHANG) == supervisor
            }
            #expect(hasEnded)
        }
    }

    /// Ended in order from the foreground, it leaves no socket that nobody listens at; its machines live on.
    @Test(arguments: [SIGINT, SIGTERM])
    func theForegroundLeavesNoSockets(signal: Int32) async throws {
        try await Berth.run { berth in
            let folder = (berth.state as NSString).deletingLastPathComponent
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let up = try Background([Repository.binary("berth"), "up", "--state", berth.state, "--listen", "127.0.0.1:\(berth.port)"], in: folder)
            defer { up.end() }
            _ = try await up.line { $0.hasPrefix("Isolation: ") }
            try await berth.add("fixture", fixture: "fixture.py")
            let machine = try await berth.machine()
            #expect(await up.end(signal) == 0, "\(up.output) \(berth.log)")
            let names = try FileManager.default.contentsOfDirectory(atPath: "/run/berth/\(try berth.key)")
            #expect(!names.contains { $0.hasSuffix(".sock") }, "\(names)")
            let left = try await berth.run(["doctor", "--leftovers"])
            #expect(left.status == 0, "\(left.output) \(left.errors)")
            try await berth.up()
            let isAdopted = await eventually { (try? await berth.machine()) == machine }
            #expect(isAdopted, "the machine lived on: \(berth.log)")
        }
    }

    /// Clients have its address; whoever looks in another state is told of this one.
    @Test func itServesWhereItLastDid() async throws {
        try await Berth.run { berth in
            try await berth.up()
            let stranger = berth.state + "-other"
            defer { try? FileManager.default.removeItem(atPath: stranger) }
            let running = [Repository.binary("berth")]
            let taken = try await Command.run(running + ["up", "--detach", "--state", stranger, "--listen", "127.0.0.1:\(berth.port)"], seconds: 120)
            #expect(taken.status == 1 && taken.errors.contains("port \(berth.port) is in use by the Berth of the state \(berth.state) — "), "\(taken)")
            for command in [["down"], ["connector", "list"]] {
                let lost = try await Command.run(running + command + ["--state", stranger], seconds: 120)
                #expect(lost.errors.contains("--state \(berth.state)"), "\(lost)")
            }
            #expect(try await berth.run(["down"]).status == 0)
            let again = try await Command.run(running + ["up", "--detach", "--json", "--state", berth.state], seconds: 120)
            #expect(again.status == 0 && again.output.contains(":\(berth.port)\""), "\(again)")
        }
    }

    /// `berth supervise` with the three standard descriptors and no other.
    private static func supervise(_ berth: Berth) throws -> pid_t {
        let words = [Repository.binary("berth"), "supervise", "--state", berth.state, "--listen", "127.0.0.1:\(berth.port)"]
        var argv = words.map { strdup($0) } + [nil]
        var envp = [strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), nil]
        defer { for pointer in argv + envp { free(pointer) } }
        let log = open(berth.state + "/berth.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(log) }
        var options = clinux_spawn_options()
        options.stdio = (-1, log, log)
        let pid = clinux_spawn(words[0], &argv, &envp, &options)
        guard pid > 0 else { throw Trouble("supervise: \(String(cString: strerror(-pid)))") }
        return pid
    }
}
