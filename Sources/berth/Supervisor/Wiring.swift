import AuthorCommands
import FoundationEssentials
import Gateway
import Glibc
import Logging
import MachineAPI
import Orchestrator
import Wire

/// From `berth up`'s settings to the configuration of each process.
extension UpSettings {
    func orchestratorArguments(_ installation: Installation) throws -> [String] { arguments(installation) }
    func gatewayArguments(_ installation: Installation) throws -> [String] { arguments(installation) }

    private func arguments(_ installation: Installation) -> [String] {
        state.state == nil ? arguments() + ["--state", installation.state] : arguments()
    }

    func orchestratorConfiguration(_ installation: Installation, stopAll: Bool) throws -> OrchestratorConfiguration {
        guard let user = getpwnam("berth") else { throw Failure("the system user berth is missing", hint: "berth up says how to make it") }
        var configuration = OrchestratorConfiguration(
            stateDirectory: installation.orchestratorState, runDirectory: installation.runDirectory, cgroupPrefix: installation.cgroupPrefix,
            gatewayUID: user.pointee.pw_uid, gatewayGID: user.pointee.pw_gid, agentPath: try Self.agentPath())
        do {
            configuration.index = packageIndex == IndexConfiguration.pypi.url ? .pypi : try IndexConfiguration(url: packageIndex)
        } catch {
            throw Failure("--package-index: \(error.message)", hint: error.hint)
        }
        do {
            if let npmRegistry { configuration.npmRegistry = try IndexConfiguration(url: npmRegistry) }
        } catch {
            throw Failure("--npm-registry: \(error.message)", hint: error.hint)
        }
        do {
            if let knownServers { configuration.knownServers = try KnownServers(adding: knownServers) }
        } catch {
            throw Failure("--known-servers: \(error.message)", hint: error.hint)
        }
        configuration.releaseAge = releaseAge * 3_600
        configuration.imageLimit = imageLimit << 20
        if let bundle = getenv("SSL_CERT_FILE") { configuration.caBundle = String(cString: bundle) }
        configuration.buildRoom = buildRoom << 20
        configuration.memoryBudget = memoryBudget
        configuration.allowsExec = allowsExec
        configuration.auditSocket = installation.controlSocket
        configuration.stopAll = stopAll
        configuration.logLevel = ProcessLog.level
        return configuration
    }

    /// `berth-agent` lies beside this executable.
    static func agentPath() throws -> String {
        guard let resolved = realpath("/proc/self/exe", nil) else { throw Failure("this executable's own path cannot be read") }
        let path = String(cString: resolved).split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/berth-agent"
        free(resolved)
        guard access(path, X_OK) == 0 else { throw Failure("\(path) is missing", hint: "make build leaves both executables in bin/") }
        return path
    }

    func gatewayConfiguration(_ installation: Installation, controlSocket: Int32) throws -> GatewayConfiguration {
        let (host, port) = try listenAddress()
        var hosts: [String] = []
        if let publicURL, let name = publicURL.split(separator: "/").dropFirst().first {
            hosts.append(String(name))
        } else {
            hosts.append(host.contains(":") ? "[\(host)]" : host)
        }
        return GatewayConfiguration(
            state: installation.gatewayMount, listenHost: host == "localhost" ? "127.0.0.1" : host, listenPort: port, publicURL: try url(),
            allowedHosts: hosts, trustedProxies: behindProxy.compactMap(AddressBlock.init), controlSocket: controlSocket,
            machinesSocket: installation.machinesSocket, logger: ProcessLog.logger("gateway"))
    }
}

/// Log lines on standard error: time, level, process, message, metadata.
enum ProcessLog {
    static func logger(_ name: String) -> Logger {
        var logger = Logger(label: name) { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = level
        return logger
    }

    static var level: Logger.Level { getenv("BERTH_LOG_LEVEL").flatMap { Logger.Level(rawValue: String(cString: $0)) } ?? .info }

    /// Tells the supervisor.
    static func ready() {
        let text = "ready\n"
        _ = text.withCString { write(1, $0, strlen($0)) }
    }
}
