import ArgumentParser
import AuthorCommands
import Glibc
import MachineAPI
import Orchestrator
import Wire

/// What `berth up` is started with; handed on to the supervisor and the two processes.
struct UpSettings: ParsableArguments {
    @OptionGroup var state: StateOption
    @Option(name: .customLong("listen"), help: ArgumentHelp("Where AI clients connect (default: where they last did with this state, else 127.0.0.1:8787).", valueName: "address:port"))
    var givenListen: String?
    var listen: String { givenListen ?? "127.0.0.1:8787" }
    @Option(help: ArgumentHelp("The name in every printed URL, behind a proxy that ends TLS.", valueName: "url")) var publicURL: String?
    @Option(
        help: ArgumentHelp(
            "Network of the TLS proxy in front (repeatable): beside this host only it may connect, and its X-Forwarded-For counts.",
            valueName: "cidr"))
    var behindProxy: [String] = []
    @Option(
        name: .customLong("package-index"),
        help: ArgumentHelp("The package index that builds resolve from (default: https://pypi.org/simple).", valueName: "url"))
    var givenPackageIndex: String?
    @Option(
        name: .customLong("build-room"),
        help: ArgumentHelp("MiB that must be free on the state's disk before anything is built (default: 1024).", valueName: "mib"))
    var givenBuildRoom: Int?
    var buildRoom: Int { givenBuildRoom ?? BuildRoom.standard >> 20 }
    @Option(
        name: .customLong("memory-budget"),
        help: ArgumentHelp(
            "How much of the host's memory all machines may be promised together: N% or MiB (default: 80%). What would pass it is not started.",
            valueName: "n%|mib"))
    var givenMemoryBudget: String?
    var memoryBudget: MemoryBudgetSetting { givenMemoryBudget.flatMap(MemoryBudgetSetting.init) ?? .standard }
    @Option(
        help: ArgumentHelp(
            "A layer of isolation that this host lacks and that connectors with --profile trusted may do without (repeatable): seccomp, cgroup-pids, cgroup-cpu. The others do not start then.",
            valueName: "layer"))
    var without: [String] = []
    @Flag(
        name: .customLong("exec"),
        help: "Let root, and who holds the token for it, run commands in machines (berth machines exec); each leaves an audit row. Off without it.")
    var allowsExec = false
    var packageIndex: String { givenPackageIndex ?? "https://pypi.org/simple" }

    @Option(help: ArgumentHelp("The npm registry that builds resolve from (default: npm's own).", valueName: "url")) var npmRegistry: String?
    @Option(
        name: .customLong("image-limit"),
        help: ArgumentHelp("What an image may weigh unpacked, in MiB: 64 to 65536 (default: 1024).", valueName: "mib"))
    var givenImageLimit: Int?
    var imageLimit: Int { givenImageLimit ?? 1_024 }
    @Option(
        name: .customLong("release-age"),
        help: ArgumentHelp(
            "Hours since its publication within which a package is asked about before it is built: 0 (never) to 8760 (default: 72).", valueName: "hours"))
    var givenReleaseAge: Int?
    var releaseAge: Int { givenReleaseAge ?? 72 }
    @Option(
        help: ArgumentHelp(
            "Further names that a package is asked about when its own is almost the same: a line `pypi NAME`, `npm NAME` or `oci NAME` for each.",
            valueName: "file"))
    var knownServers: String?
    /// From wherever it is read again.
    private var knownServersPath: String? {
        guard let knownServers, let resolved = realpath(knownServers, nil) else { return knownServers }
        defer { free(resolved) }
        return String(cString: resolved)
    }

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
                throw Failure(
                    "--public-url '\(publicURL.prefix(128))' is not https://HOST", hint: "no path, no query: https://mcp.example.com", code: 64)
            }
        }
        for network in behindProxy where AddressBlock(network) == nil {
            throw Failure("--behind-proxy '\(network.prefix(64))' is no network", hint: "for example 10.0.0.0/8 or 127.0.0.1/32", code: 64)
        }
        guard (0...1 << 24).contains(buildRoom) else {
            throw Failure("--build-room \(buildRoom) is no amount of disk", hint: "MiB, for example 1024", code: 64)
        }
        if let givenMemoryBudget, MemoryBudgetSetting(givenMemoryBudget) == nil {
            throw Failure(
                "--memory-budget '\(givenMemoryBudget.prefix(32))' is no amount of memory", hint: "1% to 100% of the host's, or MiB (64 or more)", code: 64)
        }
        for layer in without where !HostCapabilities.dispensable.contains(layer) {
            throw Failure(
                "--without \(layer.prefix(64)): no machine does without it", hint: HostCapabilities.dispensable.sorted().joined(separator: ", "), code: 64)
        }
        do {
            _ = try IndexConfiguration(url: packageIndex)
        } catch {
            throw Failure("--package-index: \(error.message)", hint: error.hint, code: 64)
        }
        if let npmRegistry {
            do {
                _ = try IndexConfiguration(url: npmRegistry)
            } catch {
                throw Failure(
                    "--npm-registry \(npmRegistry.prefix(128)) is no registry", hint: "the address of a registry, https://HOST[:PORT][/PATH]", code: 64)
            }
        }
        guard (64...65_536).contains(imageLimit) else {
            throw Failure("--image-limit \(imageLimit) is out of range", hint: "64 to 65536 MiB", code: 64)
        }
        guard (0...8_760).contains(releaseAge) else {
            throw Failure("--release-age \(releaseAge) is out of range", hint: "hours: 0 to 8760", code: 64)
        }
        if let knownServers {
            do {
                _ = try KnownServers(adding: knownServers)
            } catch {
                throw Failure("--known-servers: \(error.message)", hint: error.hint, code: 64)
            }
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

    /// What is given here and runs otherwise there, as it runs.
    func differences(from running: UpSettings) throws -> [String] {
        func address(_ settings: UpSettings) throws -> String {
            let (host, port) = try settings.listenAddress()
            return "\(host == "localhost" ? "127.0.0.1" : host) \(port)"
        }
        var result: [String] = []
        if givenListen != nil, try address(self) != address(running) { result.append("--listen \(running.listen)") }
        if publicURL != nil, try url() != running.url() { result.append(running.publicURL.map { "--public-url \($0)" } ?? "no --public-url") }
        if !behindProxy.isEmpty, Set(behindProxy) != Set(running.behindProxy) {
            let networks = running.behindProxy.map { "--behind-proxy \($0)" }
            result.append(networks.isEmpty ? "no --behind-proxy" : networks.joined(separator: " "))
        }
        if givenBuildRoom != nil, buildRoom != running.buildRoom { result.append("--build-room \(running.buildRoom)") }
        if givenPackageIndex != nil, packageIndex != running.packageIndex { result.append("--package-index \(running.packageIndex)") }
        if !without.isEmpty, Set(without) != Set(running.without) {
            result.append(running.without.isEmpty ? "no --without" : running.without.map { "--without \($0)" }.joined(separator: " "))
        }
        if npmRegistry != nil, npmRegistry != running.npmRegistry {
            result.append(running.npmRegistry.map { "--npm-registry \($0)" } ?? "no --npm-registry")
        }
        if givenMemoryBudget != nil, memoryBudget != running.memoryBudget { result.append("--memory-budget \(running.memoryBudget)") }
        if givenReleaseAge != nil, releaseAge != running.releaseAge { result.append("--release-age \(running.releaseAge)") }
        if knownServers != nil, knownServersPath != running.knownServersPath {
            result.append(running.knownServers.map { "--known-servers \($0)" } ?? "no --known-servers")
        }
        if allowsExec && !running.allowsExec { result.append("no --exec") }
        if givenImageLimit != nil, imageLimit != running.imageLimit { result.append("--image-limit \(running.imageLimit)") }
        return result
    }

    private func isLoopback(_ host: String) -> Bool { host == "localhost" || IPAddress(host)?.isLoopback == true }

    /// The same settings as an argument list.
    func arguments() -> [String] {
        var result = ["--listen", listen]
        if let state = state.state { result += ["--state", state] }
        for option in lasting { result += [option.name, option.value] }
        if let givenReleaseAge, givenReleaseAge < 72 { result += ["--release-age", "\(givenReleaseAge)"] }
        for layer in without { result += ["--without", layer] }
        if allowsExec { result.append("--exec") }
        return result
    }

    /// What a later start does as well, unless it is told otherwise. What takes something away from isolation or from what is asked is said each time.
    var lasting: [(name: String, value: String)] {
        let single = [
            ("--package-index", givenPackageIndex), ("--memory-budget", givenMemoryBudget), ("--image-limit", givenImageLimit.map(String.init)),
            ("--build-room", givenBuildRoom.map(String.init)), ("--release-age", givenReleaseAge.flatMap { $0 < 72 ? nil : String($0) }),
            ("--known-servers", knownServersPath), ("--npm-registry", npmRegistry), ("--public-url", publicURL),
        ]
        return single.compactMap { name, value in value.map { (name, $0) } } + behindProxy.map { ("--behind-proxy", $0) }
    }
}
