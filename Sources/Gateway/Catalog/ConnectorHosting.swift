import JSONText
import MachineAPI

/// How a connector's machines are hosted, beyond memory and tasks; nil for what is the default.
public struct ConnectorHosting: Codable, Sendable, Equatable {
    /// Processors, once its server is ready.
    public var cpus: Double?
    /// How much of the isolation its machines insist on: `trusted` or `untrusted`.
    public var profile: String?
    /// Path of the OCI runtime that makes its machines.
    public var runtime: String?

    /// What a machine has where nothing is said.
    public static let standardCPUs = 0.5

    /// What an admin asks for; the same members, on the wire.
    public typealias Request = ConnectorHosting

    /// What the request makes of the present one; nil where everything is the default.
    func changed(by request: Request?) -> ConnectorHosting? {
        var new = self
        new.cpus = request?.cpus ?? cpus
        new.profile = (request?.profile ?? profile).flatMap { $0 == "standard" ? nil : $0 }
        // An empty path takes the host's own again.
        new.runtime = (request?.runtime ?? runtime).flatMap { $0.isEmpty ? nil : $0 }
        return new == ConnectorHosting() ? nil : new
    }

    func check() throws(ProvisioningFailure) {
        if let cpus, !(0.1...256).contains(cpus) {
            throw ProvisioningFailure(
                error: "invalid", message: "--cpus \(cpus) is out of range", field: "hosting.cpus", hint: "0.1 to the host's number of processors")
        }
        if let profile, !["trusted", "untrusted"].contains(profile) {
            throw ProvisioningFailure(
                error: "invalid", message: "--profile \(profile.prefix(64)) is none", field: "hosting.profile", hint: "trusted, standard or untrusted")
        }
        if let runtime, !runtime.hasPrefix("/") || runtime.utf8.count > 256 || runtime.utf8.contains(0) {
            throw ProvisioningFailure(
                error: "invalid", message: "--runtime \(runtime.prefix(64)) is no absolute path", field: "hosting.runtime", hint: "for example /usr/bin/runsc")
        }
    }

    /// As the orchestrator reads it. A provider that knows whole processors alone gives as many as it takes.
    func add(to config: inout MachineConfig) {
        var own = config.berth ?? .init()
        own.cpus = cpus
        own.profile = profile
        own.runtime = runtime
        config.berth = own
        if let cpus { config.guest?.cpus = max(1, Int(cpus.rounded(.up))) }
    }

    /// As `connector show` tells it, defaults too.
    var json: JSONValue {
        .record(
            ("cpus", .number("\(cpus ?? Self.standardCPUs)")), ("profile", .string(profile ?? "standard")), ("runtime", runtime.map { .string($0) }))
    }
}

