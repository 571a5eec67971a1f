import ArgumentParser
import CLinux
import Glibc
import JSONText
import MachineAPI
import NIOCore
import Orchestrator
import Persistence
import Wire

/// What `berth up` is started with; handed on to the supervisor and the two processes.
struct UpSettings: ParsableArguments {
    @OptionGroup var state: StateOption
    @Option(name: .customLong("listen"), help: ArgumentHelp("Where AI clients connect (default: 127.0.0.1:8787).", valueName: "address:port"))
    var givenListen: String?
    var listen: String { givenListen ?? "127.0.0.1:8787" }
    @Option(help: ArgumentHelp("The name in every printed URL, behind a proxy that ends TLS.", valueName: "url")) var publicURL: String?
    @Option(help: ArgumentHelp(
            "Network of the TLS proxy in front (repeatable): beside this host only it may connect, and its X-Forwarded-For counts.", valueName: "cidr"))
     var behindProxy: [String] = []
    @Option(help: ArgumentHelp("The package index that builds resolve from.", valueName: "url")) var packageIndex = "https://pypi.org/simple"

    /// The listen address in its parts.
    func listenAddress() throws -> (host: String, port: Int) {
        guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]), (1...65_535).contains(port) else {
            throw Failure("--listen '\(listen)' is not ADDRESS:PORT", hint: "for example 127.0.0.1:8787", code: 64)
        }
        var host = String(listen[..<colon])
        if host.hasPrefix("[") && host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard host == "localhost" || IPAddress(host) != nil else {
            throw Failure("--listen: '\(host.prefix(64))' is no address", hint: "a numeric one, for example 127.0.0.1:8787", code: 64)
        }
        return (host, port)
    }

    /// The URL that clients use.
    func url() throws -> String {
        if let publicURL { return publicURL.hasSuffix("/") ? String(publicURL.dropLast()) : publicURL }
        let (host, port) = try listenAddress()
        return "http://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }

    func check() throws {
        let (host, _) = try listenAddress()
        if let publicURL {
            guard publicURL.hasPrefix("https://") || publicURL.hasPrefix("http://127.0.0.1") || publicURL.hasPrefix("http://localhost"),
                publicURL.split(separator: "/").count == 2, !publicURL.contains("?"), !publicURL.contains("#")
            else {
                throw Failure("--public-url '\(publicURL.prefix(128))' is not https://HOST", hint: "no path, no query: https://mcp.example.com", code: 64)
            }
        }
        for network in behindProxy where AddressBlock(network) == nil {
            throw Failure("--behind-proxy '\(network.prefix(64))' is no network", hint: "for example 10.0.0.0/8 or 127.0.0.1/32", code: 64)
        }
        do {
            _ = try IndexConfiguration(url: packageIndex)
        } catch {
            throw Failure("--package-index: \(error.message)", hint: error.hint, code: 64)
        }
        guard !isLoopback(host) else { return }
        guard publicURL?.hasPrefix("https://") == true || !behindProxy.isEmpty else {
            throw Failure(
                "listening on \(host) without TLS would show every token to the network",
                hint: "listen on 127.0.0.1, or put a TLS proxy in front and give --public-url https://HOST and --behind-proxy CIDR", code: 64)
        }
        guard publicURL != nil || !["0.0.0.0", "::"].contains(host) else {
            throw Failure("--listen \(listen) is every address of this host and no name for clients", hint: "add --public-url https://HOST", code: 64)
        }
    }

    /// Who may reach an address off the loopback, where that is more than the proxy; nil when there is nothing to say.
    func warning() throws -> String? {
        let (host, _) = try listenAddress()
        guard !isLoopback(host), behindProxy.isEmpty else { return nil }
        return "whoever reaches \(listen) speaks plain HTTP with Berth — --behind-proxy CIDR lets only the TLS proxy connect"
    }

    private func isLoopback(_ host: String) -> Bool { host == "localhost" || IPAddress(host)?.isLoopback == true }

    /// The same settings as an argument list.
    func arguments() -> [String] {
        var result = ["--listen", listen, "--package-index", packageIndex]
        if let state = state.state { result += ["--state", state] }
        if let publicURL { result += ["--public-url", publicURL] }
        for network in behindProxy { result += ["--behind-proxy", network] }
        return result
    }
}

/// `berth up`
struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start Berth on a state directory; prints where it listens when it is ready.",
        discussion: """
            A second `up` of a running state changes nothing and prints the same. Without --detach it stays in the foreground; Ctrl-C ends \
            Berth and leaves its machines for the next `up`, `berth down` ends them too.
            """)

    @OptionGroup var settings: UpSettings
    @Flag(help: "Return when ready; Berth runs on in the background.") var detach = false
    @OptionGroup var output: JSONOption

    func run() async throws {
        let begin = ContinuousClock.now
        try settings.check()
        if let warning = try settings.warning() { Output.error("berth: " + warning) }
        let installation = try settings.state.installation()
        try await Preflight.check()
        try Preflight.check(state: installation.state)
        if StateLock.holder(installation.lock) != nil {
            try await warnOfOther(installation)
            return try await report(installation, since: begin, isRunning: true)
        }
        let (host, port) = try settings.listenAddress()
        try PortCheck.free(host: host, port: port)
        try Preflight.make(state: installation.state)

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
        try await report(installation, since: begin, isRunning: false)
        guard !detach else { return }
        try Self.wait(for: supervisor)
    }

    /// Berth runs already, and elsewhere than it is wanted now.
    private func warnOfOther(_ installation: Installation) async throws {
        let url = try await ControlClient.gateway(installation).get("/api/v1/status").cell("url")
        guard settings.givenListen != nil || settings.publicURL != nil, try settings.url() != url else { return }
        Output.error("berth: it runs at \(url) and keeps doing so — berth down, then berth up with the new settings")
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

    private func report(_ installation: Installation, since begin: ContinuousClock.Instant, isRunning: Bool) async throws {
        let gateway = try await ControlClient.gateway(installation).get("/api/v1/bootstrap")
        let machines = try await ControlClient.orchestrator(installation).get("/v1/berth/bootstrap")
        let elapsed = Double((ContinuousClock.now - begin).components.attoseconds) / 1e18 + Double((ContinuousClock.now - begin).components.seconds)
        let rounded = String(Double(Int(elapsed * 100)) / 100)
        if output.json {
            return Output.json(
                .record(
                    ("url", gateway["url"]), ("admin_token", gateway["admin_token"]), ("machines_url", machines["machines_url"]),
                    ("machines_token", machines["machines_token"]), ("pid", .int(Int(StateLock.holder(installation.lock) ?? 0))),
                    ("elapsed_s", .number(rounded))))
        }
        let doctor = try await ControlClient.orchestrator(installation).get("/v1/berth/doctor")
        Output.line("Berth \(isRunning ? "runs already" : "is up") at \(gateway.cell("url"))  (state \(installation.state), \(rounded) s)")
        Output.line("Isolation: \(Isolation.line(doctor))")
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
    private static func wait(for supervisor: pid_t) throws {
        foreground = supervisor
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number) { _ in
                Up.wasTold = true
                kill(Up.foreground, SIGTERM)
            }
        }
        var status: Int32 = 0
        while waitpid(supervisor, &status, 0) < 0 && errno == EINTR {}
        if wasTold { Output.error("berth: machines live on for the next berth up; berth down stops them") }
        let code = status & 0x7f == 0 ? (status >> 8) & 0xff : 1
        if code != 0 { throw ExitCode(code) }
    }
}
