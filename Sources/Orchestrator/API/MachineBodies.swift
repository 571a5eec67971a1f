import FoundationEssentials
import JSONText
import MachineAPI
import Sealing

/// `POST …/machines`, read and checked.
struct CreateMachineRequest: Sendable {
    var name: String?
    var config: MachineConfig
    var skipsLaunch: Bool
    /// Seconds for which only its maker may change it.
    var leaseSeconds: Int64?
    /// Of an update: the instance id that it is meant for.
    var currentVersion: String?

    /// - Parameter isUpdate: of a machine that is there.
    init(_ body: [UInt8], isUpdate: Bool = false) throws(MachineFailure) {
        let value = try JSONCoding.value(body)
        guard let config = value["config"], config.objectValue != nil else {
            throw MachineFailure(.badRequest, "invalid", "config is missing", field: "config")
        }
        try (isUpdate ? BodyKeys.update : .machine).check(value)
        try BodyKeys.config.check(config, "config")
        for (name, keys) in BodyKeys.inConfig { if let part = config[name] { try keys.check(part, "config.\(name)") } }
        if let http = config["berth"]?["http"] { try BodyKeys.http.check(http, "config.berth.http") }
        if let idle = config["berth"]?["idle"] { try BodyKeys.idle.check(idle, "config.berth.idle") }
        if let concurrency = config["berth"]?["concurrency"] { try BodyKeys.concurrency.check(concurrency, "config.berth.concurrency") }
        name = value["name"]?.stringValue
        skipsLaunch = value["skip_launch"]?.boolValue ?? false
        currentVersion = value["current_version"]?.stringValue
        if let ttl = value["lease_ttl"], !ttl.isNull, ttl.intValue != 0 { leaseSeconds = try LeaseRequest.seconds(ttl.text, field: "lease_ttl") }
        if let region = value["region"]?.stringValue, !region.isEmpty, region != "local" {
            throw MachineFailure(.invalid, "unknown_region", "there is no region \(region.prefix(32))", field: "region", hint: "local")
        }
        self.config = try JSONCoding.decode(MachineConfig.self, Self.normalised(config).serialized())
        try ConfigRules.check(self.config)
        if let name { try ConfigRules.checkName(name, field: "name") }
    }

    /// By its marks in the metadata the gateway knows its machines, whose users' calls and secrets it gives them: whoever holds no more than
    /// a token sets none, and changes none.
    ///
    /// - Parameter before: of the machine that is changed.
    func checkMarks(of caller: MachinesCaller, before: [String: String] = [:]) throws(MachineFailure) {
        guard !caller.marksMachines else { return }
        for (key, value) in config.metadata ?? [:] where MetadataRequest.isReserved(key) && before[key] != value {
            throw MetadataRequest.reserved(key, field: "config.metadata.\(key.prefix(64))")
        }
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

/// `POST /apps`, read and checked.
struct CreateAppRequest: Sendable {
    var name: String
    var org: String
    var network: String?
    /// 32 bytes; without them nobody but the orchestrator can open the doors of the app's machines.
    var root: [UInt8]?

    init(_ body: [UInt8]) throws(MachineFailure) {
        let value = try JSONCoding.value(body)
        guard let name = value["name"]?.stringValue ?? value["app_name"]?.stringValue else {
            throw MachineFailure(.badRequest, "invalid", "name is missing", field: "name")
        }
        guard let org = value["org_slug"]?.stringValue, (1...64).contains(org.utf8.count) else {
            throw MachineFailure(.badRequest, "invalid", "org_slug is missing", field: "org_slug")
        }
        try ConfigRules.checkName(name, field: "name")
        try BodyKeys.app.check(value)
        if let own = value["berth"] { try BodyKeys.ownOfApp.check(own, "berth") }
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
        let value = body.isEmpty ? .null : try JSONCoding.value(body)
        try BodyKeys.stop.check(value)
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
