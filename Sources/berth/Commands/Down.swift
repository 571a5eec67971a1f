import ArgumentParser
import AuthorCommands
import CLinux
import Glibc
import JSONText

/// `berth down`
struct Down: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stop Berth and its machines; nothing runs afterwards.",
        discussion: """
            A Berth that was killed leaves its machines running, for the next `up` to adopt; `down` stops those too.
            --purge then removes what was made for this state: the state directory, the run directory, and its part of the shared cache \
            where no other state has it too. It says what it leaves, and why.
            """)
    @OptionGroup var state: StateOption
    @Flag(help: "Then remove the state: connectors, keys, tokens, the audit log, images. It asks first.") var purge = false
    @Flag(help: "With --purge: do not ask.") var yes = false
    @OptionGroup var output: JSONOption

    func validate() throws {
        if yes, !purge { throw ValidationError("--yes goes with --purge") }
    }

    func run() async throws {
        try Rights.needRoot("what it stops is root's")
        let installation = try state.installation()
        guard purge else { return try await stop(installation, tells: true) }
        let purge = try Purge(installation)
        guard !purge.isEmpty else {
            throw Failure("there is no state \(installation.state)", hint: RunningState.hint(besides: installation) ?? "name one with --state DIR")
        }
        if !yes { try purge.confirm() }
        try await stop(installation, tells: false)
        let left = try await purge.run()
        if output.json {
            return Output.json(
                .record(
                    ("purged", .string(installation.state)),
                    ("left", .array(left.map { .record(("path", .string($0.path)), ("why", .string($0.why))) }))))
        }
        Output.line("Removed \(installation.state)")
        for item in left { Output.line("Left: \(item.path) (\(item.why))") }
        Output.line("Left: the system user berth (userdel berth, when no other state is here)")
    }

    private func stop(_ installation: Installation, tells: Bool) async throws {
        guard let supervisor = StateLock.holder(installation.lock) else {
            return try await stopWhatLivedOn(installation, tells: tells)
        }
        let answer = try await ControlClient.orchestrator(installation).json("POST", "/v1/berth/stop-all", .record(), seconds: 330)
        kill(supervisor, SIGTERM)
        guard Self.waitForEnd(of: supervisor, seconds: 40) else {
            throw Failure("the supervisor (pid \(supervisor)) does not end", hint: "read \(installation.log)")
        }
        RunDirectory.remove(installation)
        guard tells else { return }
        output.json
            ? Output.json(.record(("stopped", .bool(true)), ("machines", answer["stopped"] ?? .int(0))))
            : Output.line("Berth is down; machines stopped: \(answer.cell("stopped"))")
    }

    /// Nothing of ours runs, but machines may: they are stopped by an orchestrator of their own.
    private func stopWhatLivedOn(_ installation: Installation, tells: Bool) async throws {
        guard access(installation.orchestratorState, F_OK) == 0 else {
            guard tells else { return }
            output.json
                ? Output.json(.record(("stopped", .bool(false)), ("machines", .int(0))))
                : Output.line("Berth does not run with the state \(installation.state)")
            return noteOthers(installation)
        }
        // A one-shot orchestrator adopts what lives, stops it, and ends.
        let end = OneShot.run(["orchestrator", "--stop-all", "--state", installation.state], log: installation.log)
        guard end.status == 0 else {
            let why = end.lastLine.isEmpty ? "" : ": " + end.lastLine
            throw Failure("the machines could not be stopped\(why)", hint: "then berth down\(installation.stateOption) again; the log is \(installation.log)")
        }
        RunDirectory.remove(installation)
        guard tells else { return }
        output.json ? Output.json(.record(("stopped", .bool(true)))) : Output.line("Berth was not running; its machines are stopped")
        noteOthers(installation)
    }

    /// Whoever stopped nothing may have meant another.
    private func noteOthers(_ installation: Installation) {
        if let hint = RunningState.hint(besides: installation) { Output.note(hint) }
    }

    private static func waitForEnd(of pid: pid_t, seconds: Int32) -> Bool {
        let pidfd = clinux_pidfd_open(pid)
        guard pidfd >= 0 else { return true }
        defer { close(pidfd) }
        var one = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
        return poll(&one, 1, seconds * 1_000) > 0
    }
}

/// `/run/berth/<key>`: made by `up`, removed by `down`.
enum RunDirectory {
    static func remove(_ installation: Installation) {
        for name in ["control.sock", "machines.sock"] { unlink(installation.runDirectory + "/" + name) }
        for name in ["doors", "egress", "gateway-state", ""] { rmdir(installation.runDirectory + "/" + name) }
    }
}

/// A child of this binary that runs to its end.
enum OneShot {
    /// - Returns: its exit code, 128 + signal, or -1 when it did not start; and what it wrote last, which is why it failed.
    static func run(_ arguments: [String], log: String) -> (status: Int32, lastLine: String) {
        var ends: [Int32] = [-1, -1]
        guard clinux_pipe_cloexec(&ends) == 0 else { return (-1, String(cString: strerror(errno))) }
        defer { close(ends[0]) }
        let descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { if descriptor >= 0 { close(descriptor) } }
        var options = clinux_spawn_options()
        options.stdio = (-1, ends[1], descriptor >= 0 ? descriptor : 2)
        let pid = CStrings.with(arguments, program: "berth") { argv in
            CStrings.with(["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]) { envp in clinux_spawn("/proc/self/exe", argv, envp, &options) }
        }
        close(ends[1])
        guard pid > 0 else { return (-1, String(cString: strerror(-pid))) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        return (status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f), lastLine(of: ends[0]))
    }

    /// Of what it wrote, as far as a pipe holds it; who inherited the other end may still live.
    private static func lastLine(of descriptor: Int32) -> String {
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n").last.map(String.init) ?? ""
    }
}
