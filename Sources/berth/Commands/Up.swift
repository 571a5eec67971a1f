import ArgumentParser
import AuthorCommands
import CLinux
import Glibc
import JSONText
import MachineAPI
import NIOCore
import Orchestrator
import Persistence
import Wire

/// `berth up`
struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start Berth on a state directory; prints where it listens when it is ready.",
        discussion: """
            A second `up` of a running state changes nothing and prints the same; other settings than it runs with are refused. A later \
            `up` of the same state has the options of the one before, but for what takes something away (--without, --exec, a shorter --release-age), which is said each time. Without \
            --detach it stays in the foreground; Ctrl-C ends Berth and leaves its machines for the next `up`, `berth down` ends them too. \
            As a service of systemd (Type=notify) it says when it is ready.
            """)

    @OptionGroup var settings: UpSettings
    @Flag(help: "Return when ready; Berth runs on in the background.") var detach = false
    @Flag(help: "Forget the options of last time, but for where it listens.") var defaults = false
    @OptionGroup var output: JSONOption

    mutating func run() async throws {
        let begin = ContinuousClock.now
        let installation = try settings.state.installation()
        let options = RememberedOptions(installation.state)
        var lastOptions: [String] = []
        // Clients have it in their configuration.
        if settings.givenListen == nil { settings.givenListen = installation.lastListen }
        if !defaults { (settings, lastOptions) = try options.complete(settings) }
        try settings.check()
        if let warning = try settings.warning() { Output.note(warning) }
        try await Preflight.check(without: settings.without)
        try Preflight.check(state: installation.state)
        if let supervisor = StateLock.holder(installation.lock) {
            try refuseOther(than: supervisor)
            try await report(installation, since: begin, isRunning: true, lastOptions)
            // A service that lost its foreground alone: its next start stands in for it.
            guard !detach, ServiceNotice.isWanted else { return }
            ServiceNotice.send("READY=1")
            return try Self.wait(for: supervisor, isChild: false)
        }
        let (host, port) = try settings.listenAddress()
        try RunningState.refuse(host: host, port: port)
        try PortCheck.free(host: host, port: port)
        try Preflight.make(state: installation.state)
        try installation.remember(listen: settings.listen)

        var ready: [Int32] = [-1, -1]
        guard clinux_pipe_cloexec(&ready) == 0 else { throw Failure("no pipe: \(String(cString: strerror(errno)))") }
        let supervisor = try spawnSupervisor(installation, readiness: ready[1])
        close(ready[1])
        let line = Self.readLine(ready[0])
        close(ready[0])
        guard line == "ready" else {
            var status: Int32 = 0
            waitpid(supervisor, &status, 0)
            // Another `up` may have been faster: the sockets are its then.
            if StateLock.holder(installation.lock) == nil { RunDirectory.remove(installation) }
            throw Self.failure(line, installation)
        }
        // Options that it does not start with are none to keep.
        try options.save(settings)
        try await report(installation, since: begin, isRunning: false, lastOptions)
        guard !detach else { return }
        ServiceNotice.send("READY=1")
        try Self.wait(for: supervisor)
    }

    /// Berth runs already, and otherwise than it is wanted now.
    private func refuseOther(than supervisor: pid_t) throws {
        // Its command line: `berth supervise` and the settings.
        let words = String(decoding: readFile("/proc/\(supervisor)/cmdline") ?? [], as: UTF8.self).split(separator: "\0").map(String.init)
        guard words.count > 2, let running = try? UpSettings.parse(Array(words.dropFirst(2))) else { return }
        let others = try settings.differences(from: running)
        guard !others.isEmpty else { return }
        let option = try settings.state.installation().stateOption
        throw Failure("Berth runs already, with \(others.joined(separator: " and "))", hint: "berth down\(option), then berth up with the new settings")
    }

    private func spawnSupervisor(_ installation: Installation, readiness: Int32) throws -> pid_t {
        let log = open(installation.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard log >= 0 else { throw Failure("\(installation.log) cannot be written: \(String(cString: strerror(errno)))") }
        defer { close(log) }
        var arguments = settings.arguments()
        if settings.state.state == nil { arguments += ["--state", installation.state] }
        return try withUnsafePointer(to: readiness) { extra in
            var options = clinux_spawn_options()
            options.stdio = (-1, log, detach ? log : 2)
            options.extra = extra
            options.extra_count = 1
            options.new_session = detach ? 1 : 0
            let environment = ProcessEnvironment.passed()
            let pid = CStrings.with(["supervise"] + arguments, program: "berth") { argv in
                CStrings.with(environment) { envp in clinux_spawn("/proc/self/exe", argv, envp, &options) }
            }
            guard pid > 0 else { throw Failure("the supervisor does not start: \(String(cString: strerror(-pid)))") }
            return pid
        }
    }

    private func report(_ installation: Installation, since begin: ContinuousClock.Instant, isRunning: Bool, _ lastOptions: [String]) async throws {
        let gateway = try await ControlClient.gateway(installation).get("/api/v1/bootstrap")
        let machines = try await ControlClient.orchestrator(installation).get("/v1/berth/bootstrap")
        let elapsed = Double((ContinuousClock.now - begin).components.attoseconds) / 1e18 + Double((ContinuousClock.now - begin).components.seconds)
        let rounded = String(Double(Int(elapsed * 100)) / 100)
        if output.json {
            return Output.json(
                .record(
                    ("url", gateway["url"]), ("admin_token", gateway["admin_token"]), ("machines_url", machines["machines_url"]),
                    ("machines_token", machines["machines_token"]), ("machines_exec_token", machines["machines_exec_token"]),
                    ("pid", .int(Int(StateLock.holder(installation.lock) ?? 0))),
                    ("elapsed_s", .number(rounded))))
        }
        let doctor = try await ControlClient.orchestrator(installation).get("/v1/berth/doctor")
        Output.line("Berth \(isRunning ? "runs already" : "is up") at \(gateway.cell("url"))  (state \(installation.state), \(rounded) s)")
        Output.line("Isolation: \(Isolation.line(doctor))")
        if !lastOptions.isEmpty {
            Output.line("Options:   \(lastOptions.joined(separator: " ")), as last time (berth up --defaults forgets them)")
        }
    }

    /// From what the supervisor said, `message — remedy`.
    private static func failure(_ line: String?, _ installation: Installation) -> Failure {
        let log = "the whole story is in \(installation.log)"
        guard let line else { return Failure("Berth did not start", hint: log) }
        guard let mark = line.firstRange(of: " — ") else { return Failure("Berth did not start: \(line)", hint: log) }
        return Failure("Berth did not start: \(line[..<mark.lowerBound])", hint: String(line[mark.upperBound...]))
    }

    private static func readLine(_ descriptor: Int32) -> String? {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while true {
            let count = read(descriptor, &byte, 1)
            if count < 0 && errno == EINTR { continue }
            guard count == 1, byte != 10, bytes.count < 4_096 else { break }
            bytes.append(byte)
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    /// For the signal handler only.
    nonisolated(unsafe) private static var foreground: pid_t = 0
    nonisolated(unsafe) private static var wasTold = false

    /// In the foreground: a signal to us is handed on, and the supervisor's end is ours.
    ///
    /// - Parameter isChild: else how it ended is not told.
    private static func wait(for supervisor: pid_t, isChild: Bool = true) throws {
        let pidfd = isChild ? -1 : clinux_pidfd_open(supervisor)
        defer { if pidfd >= 0 { close(pidfd) } }
        foreground = supervisor
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number) { _ in
                Up.wasTold = true
                kill(Up.foreground, SIGTERM)
            }
        }
        var status: Int32 = 0
        if isChild {
            while waitpid(supervisor, &status, 0) < 0 && errno == EINTR {}
        } else if pidfd >= 0 {
            var polled = pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)
            while poll(&polled, 1, -1) < 0 && errno == EINTR {}
            // It was not to end; systemd starts it anew.
            if !wasTold { status = 1 << 8 }
        }
        if wasTold {
            ServiceNotice.send("STOPPING=1")
            Output.note("machines live on for the next berth up; berth down stops them")
        }
        let code = status & 0x7f == 0 ? (status >> 8) & 0xff : 1
        if code != 0 { throw ExitCode(code) }
    }
}
