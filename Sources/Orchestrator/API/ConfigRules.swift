import Door
import FoundationEssentials
import Glibc
import MachineAPI
import Sealing

/// What a machine's configuration may say.
enum ConfigRules {
    /// Of this host.
    private static var processors: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    static func checkName(_ name: String, field: String) throws(MachineFailure) {
        let isFine =
            (1...63).contains(name.utf8.count) && !name.hasPrefix("-") && !name.hasSuffix("-")
            && name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
        guard isFine else {
            throw MachineFailure(
                .invalid, "invalid_name", "\(name.prefix(80)) is no name", field: field, hint: "a to z, 0 to 9 and -, at most 63, no - at either end")
        }
    }

    static func check(_ config: MachineConfig) throws(MachineFailure) {
        guard Identifier.hex(ofDigest: config.image) != nil else {
            throw MachineFailure(
                .invalid, "invalid_image", "config.image is no digest", field: "config.image",
                hint: "sha256: and 64 hex digits, from POST /v1/berth/images")
        }
        try range(config.guest?.memory_mb, 16...1_048_576, "config.guest.memory_mb")
        try range(config.guest?.cpus, 1...64, "config.guest.cpus")
        try range(config.guest?.pids, 16...32_768, "config.guest.pids")
        if let cpus = config.berth?.cpus, !(0.1...Double(processors)).contains(cpus) {
            throw MachineFailure(
                .invalid, "invalid", "config.berth.cpus is 0.1 to \(processors), the processors of this host", field: "config.berth.cpus")
        }
        if let era = config.metadata?["berth_era"], BootDocument.EraChoice(rawValue: era) == nil {
            throw MachineFailure(
                .invalid, "invalid", "config.metadata.berth_era is auto, legacy or modern", field: "config.metadata.berth_era")
        }
        try range(config.restart?.max_retries, 0...1_000, "config.restart.max_retries")
        if let kind = config.guest?.cpu_kind, !["shared", "performance"].contains(kind) {
            throw MachineFailure(.invalid, "invalid", "config.guest.cpu_kind is shared or performance", field: "config.guest.cpu_kind")
        }
        if let text = config.stop_config?.timeout, !text.isEmpty {
            guard let time = Duration(apiText: text), time <= .seconds(300) else {
                throw MachineFailure(
                    .invalid, "invalid", "config.stop_config.timeout is no time up to 300 s", field: "config.stop_config.timeout", hint: "10s")
            }
        }
        if let signal = config.stop_config?.signal { try checkStopSignal(signal, field: "config.stop_config.signal") }
        let egress = try config.egress
        if let http = config.berth?.http {
            try check(http)
            guard !egress.ports.contains(http.port) else {
                throw MachineFailure(
                    .invalid, "invalid", "config.berth.http.port is a port of config.berth.egress, on which the agent listens",
                    field: "config.berth.http.port", hint: "another port of the server")
            }
        }
        try range(config.berth?.idle?.seconds, MachineConfig.Idle.range, "config.berth.idle.seconds")
        try range(config.berth?.concurrency?.soft_limit, 1...10_000, "config.berth.concurrency.soft_limit")
        try range(config.berth?.concurrency?.hard_limit, 1...10_000, "config.berth.concurrency.hard_limit")
        if let profile = config.berth?.profile, IsolationProfile(rawValue: profile) == nil {
            throw MachineFailure(.invalid, "invalid", "config.berth.profile is trusted, standard or untrusted", field: "config.berth.profile")
        }
        if config.profile == .untrusted, config.berth?.egress_private?.isEmpty == false {
            throw MachineFailure(
                .invalid, "invalid", "an untrusted machine reaches no private addresses", field: "config.berth.egress_private",
                hint: "leave it out, or give it another profile")
        }
        if let runtime = config.berth?.runtime, !runtime.hasPrefix("/") || runtime.utf8.count > 256 || runtime.utf8.contains(0) {
            throw MachineFailure(.invalid, "invalid", "config.berth.runtime is no absolute path", field: "config.berth.runtime", hint: "/usr/bin/runsc")
        }
        try checkText(config)
    }

    /// A server without privileges cannot have a lower port.
    private static func check(_ http: MachineConfig.HTTP) throws(MachineFailure) {
        try range(http.port, 1_024...65_535, "config.berth.http.port")
        guard BootDocument.HTTPPlace.isPath(http.path) else {
            throw MachineFailure(
                .invalid, "invalid", "config.berth.http.path is no path of a URL", field: "config.berth.http.path", hint: "/mcp")
        }
    }

    /// The agent ends its children in order on SIGTERM; nothing else would.
    static func checkStopSignal(_ signal: String, field: String) throws(MachineFailure) {
        guard !["", "SIGTERM", "SIGINT"].contains(signal) else { return }
        throw MachineFailure(.invalid, "unsupported_field", "machines are stopped with SIGTERM", field: field, hint: "leave it out")
    }

    private static func checkText(_ config: MachineConfig) throws(MachineFailure) {
        var size = 0
        for (name, value) in config.env ?? [:] {
            size += name.utf8.count + value.utf8.count + 2
            guard !name.isEmpty, !name.contains("="), !name.utf8.contains(0), !value.utf8.contains(0) else {
                throw MachineFailure(.invalid, "invalid", "config.env has a name or a value that no environment can hold", field: "config.env")
            }
        }
        for argument in config.`init`?.exec ?? [] {
            size += argument.utf8.count + 1
            guard !argument.utf8.contains(0) else {
                throw MachineFailure(.invalid, "invalid", "config.init.exec holds a NUL", field: "config.init.exec")
            }
        }
        for (key, value) in config.metadata ?? [:] { size += key.utf8.count + value.utf8.count + 2 }
        guard size <= 128 << 10 else {
            throw MachineFailure(.invalid, "too_large", "env, command and metadata are more than 128 KiB together", field: "config")
        }
    }

    private static func range(_ value: Int?, _ range: ClosedRange<Int>, _ field: String) throws(MachineFailure) {
        guard let value, !range.contains(value) else { return }
        throw MachineFailure(.invalid, "invalid", "\(field) is \(range.lowerBound) to \(range.upperBound)", field: field)
    }
}
