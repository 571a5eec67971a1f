import FoundationEssentials
import Gateway
import Glibc
import Logging
import Orchestrator

/// From `berth up`'s settings to the configuration of each process.
extension UpSettings {
    func orchestratorArguments(_ installation: Installation) throws -> [String] { arguments(installation) }
    func gatewayArguments(_ installation: Installation) throws -> [String] { arguments(installation) }

    private func arguments(_ installation: Installation) -> [String] {
        state.state == nil ? arguments() + ["--state", installation.state] : arguments()
    }

    func gatewayConfiguration(_ installation: Installation, controlSocket: Int32) throws -> GatewayConfiguration {
        let (host, port) = try listenAddress()
        var hosts: [String] = []
        if let publicURL, let name = publicURL.split(separator: "/").dropFirst().first { hosts.append(String(name)) }
        return GatewayConfiguration(
            state: installation.gatewayMount, listenHost: host == "localhost" ? "127.0.0.1" : host, listenPort: port, publicURL: try url(),
            allowedHosts: hosts, controlSocket: controlSocket, machinesSocket: installation.machinesSocket, logger: ProcessLog.logger("gateway"))
    }
}

/// Log lines on standard error: time, level, process, message, metadata.
enum ProcessLog {
    static func logger(_ name: String) -> Logger {
        var logger = Logger(label: name) { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = getenv("BERTH_LOG_LEVEL").flatMap { Logger.Level(rawValue: String(cString: $0)) } ?? .info
        return logger
    }

    /// Tells the supervisor.
    static func ready() {
        let text = "ready\n"
        _ = text.withCString { write(1, $0, strlen($0)) }
    }
}
