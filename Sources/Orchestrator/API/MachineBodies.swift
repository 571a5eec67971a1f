import FoundationEssentials
import JSONText
import MachineAPI
import Sealing

/// `POST …/machines`, read and checked.
struct CreateMachineRequest: Sendable {
    var name: String?
    var config: MachineConfig
    var skipsLaunch: Bool

    init(_ body: [UInt8]) throws(MachineFailure) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: body)
        } catch {
            throw MachineFailure(.badRequest, "invalid", "the body is no valid JSON", field: "body")
        }
        guard let config = value["config"], config.objectValue != nil else {
            throw MachineFailure(.badRequest, "invalid", "config is missing", field: "config")
        }
        try Self.refuseUnsupported(config)
        name = value["name"]?.stringValue
        skipsLaunch = value["skip_launch"]?.boolValue ?? false
        if let region = value["region"]?.stringValue, !region.isEmpty, region != "local" {
            throw MachineFailure(.invalid, "unknown_region", "there is no region \(region.prefix(32))", field: "region", hint: "local")
        }
        self.config = try JSONCoding.decode(MachineConfig.self, Self.normalised(config).serialized())
        try ConfigRules.check(self.config)
        if let name { try ConfigRules.checkName(name, field: "name") }
    }

    /// What would be dropped silently is refused; what nobody knows is ignored.
    private static let unsupported = [
        "mounts", "volumes", "containers", "files", "services", "checks", "processes", "schedule", "standbys", "statics", "metrics", "size",
    ]

    private static func refuseUnsupported(_ config: JSONValue) throws(MachineFailure) {
        func isGiven(_ value: JSONValue?) -> Bool {
            guard let value, !value.isNull else { return false }
            if value.boolValue == false || value.stringValue == "" { return false }
            if let list = value.arrayValue { return !list.isEmpty }
            if let object = value.objectValue { return !object.isEmpty }
            return true
        }
        var given = unsupported.filter { isGiven(config[$0]) }
        given += ["tty", "kernel_args", "swap_size_mb"].filter { isGiven(config["init"]?[$0]) }.map { "init.\($0)" }
        given += ["gpus", "gpu_kind", "kernel_args", "max_memory_mb"].filter { isGiven(config["guest"]?[$0]) }.map { "guest.\($0)" }
        guard let first = given.first else { return }
        throw MachineFailure(
            .invalid, "unsupported_field", "config.\(first) is not supported here", field: "config.\(first)", hint: "leave it out")
    }

    /// Fly's other spellings in the one that is stored.
    private static func normalised(_ config: JSONValue) -> JSONValue {
        guard var members = config.objectValue else { return config }
        if var start = members["init"]?.objectValue {
            let parts = ["entrypoint", "cmd"].compactMap { start[$0]?.arrayValue }.flatMap { $0 }
            if start["exec"]?.arrayValue?.isEmpty ?? true, !parts.isEmpty { start["exec"] = .array(parts) }
            if start["exec"]?.arrayValue?.isEmpty == true { start["exec"] = nil }
            members["init"] = start["exec"].map { .object(JSONObject([("exec", $0)])) }
        }
        if var stop = members["stop_config"]?.objectValue, case .number(let number)? = stop["timeout"] {
            stop["timeout"] = .string(number)
            members["stop_config"] = .object(stop)
        }
        return .object(members)
    }
}

/// What a machine's configuration may say.
enum ConfigRules {
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
        try checkText(config)
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

/// `POST /apps`, read and checked.
struct CreateAppRequest: Sendable {
    var name: String
    var org: String
    var network: String?
    /// 32 bytes; without them nobody but the orchestrator can open the doors of the app's machines.
    var root: [UInt8]?

    init(_ body: [UInt8]) throws(MachineFailure) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: body)
        } catch {
            throw MachineFailure(.badRequest, "invalid", "the body is no valid JSON", field: "body")
        }
        guard let name = value["name"]?.stringValue ?? value["app_name"]?.stringValue else {
            throw MachineFailure(.badRequest, "invalid", "name is missing", field: "name")
        }
        guard let org = value["org_slug"]?.stringValue, (1...64).contains(org.utf8.count) else {
            throw MachineFailure(.badRequest, "invalid", "org_slug is missing", field: "org_slug")
        }
        try ConfigRules.checkName(name, field: "name")
        self.name = name
        self.org = org
        network = value["network"]?.stringValue
        if let text = value["berth"]?["app_root"]?.stringValue {
            guard let bytes = Base64URL.decode(text), bytes.count == 32 else {
                throw MachineFailure(.badRequest, "invalid", "berth.app_root is not 32 bytes in base64url", field: "berth.app_root")
            }
            root = bytes
        }
    }
}

/// How a machine is stopped: `POST …/stop` with a body or none, `…/restart` with a query.
struct StopRequest: Sendable, Equatable {
    /// `nil`: as the configuration says.
    var seconds: Int64?

    init(body: [UInt8]) throws(MachineFailure) {
        let value: JSONValue
        do {
            value = body.isEmpty ? .null : try JSONValue(parsing: body)
        } catch {
            throw MachineFailure(.badRequest, "invalid", "the body is no valid JSON", field: "body")
        }
        if let signal = value["signal"]?.stringValue { try ConfigRules.checkStopSignal(signal, field: "signal") }
        try self.init(timeout: value["timeout"].flatMap { $0.stringValue ?? ($0.isNull ? nil : $0.text) })
    }

    init(timeout text: String?) throws(MachineFailure) {
        guard let text, !text.isEmpty else { return }
        guard let time = Duration(apiText: text), time <= .seconds(300) else {
            throw MachineFailure(.badRequest, "invalid", "timeout is no time up to 300 s", field: "timeout", hint: "10s")
        }
        seconds = max(1, time.components.seconds)
    }
}
