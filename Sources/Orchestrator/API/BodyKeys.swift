import JSONText

/// The members that a request's object may have. What would be dropped in silence is refused by its name: what Fly has and
/// Berth has not, where it asks for something, and what nobody knows, always.
struct BodyKeys: Sendable {
    /// What Berth acts on.
    var known: Set<String>
    /// Fly's, not supported: refused unless it asks for nothing (its clients send empty lists and `false`).
    var unsupported: Set<String> = []
    /// What clients of Fly's send and Fly's own description does not have: it means nothing there either.
    var ignored: Set<String> = []

    /// `POST …/machines`. There are no services here, so none is registered either way.
    static let machine = BodyKeys(
        known: ["name", "config", "region", "skip_launch", "skip_service_registration", "lease_ttl"],
        unsupported: ["id", "lsvd", "min_secrets_version", "skip_secrets"])
    /// `POST …/machines/{id}`
    static let update = BodyKeys(
        known: ["name", "config", "region", "skip_launch", "skip_service_registration", "current_version"],
        unsupported: ["id", "lease_ttl", "lsvd", "min_secrets_version", "skip_secrets"])
    static let lease = BodyKeys(known: ["ttl", "description"])
    static let signal = BodyKeys(known: ["signal"])
    /// Fly's own client also says which machine.
    static let exec = BodyKeys(known: ["command", "cmd", "stdin", "timeout"], unsupported: ["container"], ignored: ["machine", "machine_id"])
    static let metadata = BodyKeys(known: ["metadata", "machine_version", "updated_at"])
    static let metadataValue = BodyKeys(known: ["value", "updated_at"])
    static let config = BodyKeys(
        known: ["image", "init", "guest", "env", "metadata", "restart", "stop_config", "auto_destroy", "berth"],
        unsupported: [
            "mounts", "volumes", "containers", "files", "services", "checks", "processes", "schedule", "standbys", "statics", "metrics", "size",
            "dns", "rootfs", "disable_machine_autostart",
        ],
        ignored: ["auto_start_machines", "stop_timeout"])
    static let inConfig: [(name: String, keys: BodyKeys)] = [
        ("init", BodyKeys(known: ["exec", "entrypoint", "cmd"], unsupported: ["tty", "kernel_args", "swap_size_mb"])),
        (
            "guest",
            BodyKeys(
                known: ["cpu_kind", "cpus", "memory_mb", "pids"],
                unsupported: ["gpus", "gpu_kind", "kernel_args", "max_memory_mb", "host_dedication_id", "persist_rootfs"])
        ),
        ("restart", BodyKeys(known: ["policy", "max_retries"], unsupported: ["gpu_bid_price"])),
        ("stop_config", BodyKeys(known: ["signal", "timeout"])),
        (
            "berth",
            BodyKeys(known: [
                "app_tokens", "autostart", "concurrency", "cpus", "egress", "egress_private", "http", "idle", "profile", "runtime",
            ])
        ),
    ]
    static let http = BodyKeys(known: ["port", "path"])
    static let concurrency = BodyKeys(known: ["soft_limit", "hard_limit"])
    static let idle = BodyKeys(known: ["seconds", "action"])
    static let app = BodyKeys(known: ["name", "app_name", "org_slug", "network", "berth"], unsupported: ["enable_subdomains"])
    static let ownOfApp = BodyKeys(known: ["app_root"])
    static let stop = BodyKeys(known: ["signal", "timeout"])

    /// Of verbs that take no body; clients of Fly's stop may send the same one.
    static let nothing = BodyKeys(known: [], unsupported: ["signal", "timeout"])

    /// A body that may be missing.
    func check(in body: [UInt8]) throws(MachineFailure) {
        if !body.isEmpty { try check(try JSONCoding.value(body)) }
    }

    /// - Parameter path: of the object in the body; empty for the body itself.
    func check(_ value: JSONValue, _ path: String = "") throws(MachineFailure) {
        guard let object = value.objectValue else { return }
        for (key, member) in object.members where !known.contains(key) && !ignored.contains(key) {
            let field = (path.isEmpty ? "" : path + ".") + String(key.prefix(64))
            guard unsupported.contains(key) else {
                throw MachineFailure(.badRequest, "unknown_field", "\(field) is not known here", field: field, hint: "leave it out")
            }
            if Self.asksForSomething(member) {
                throw MachineFailure(.invalid, "unsupported_field", "\(field) is not supported here", field: field, hint: "leave it out")
            }
        }
    }

    private static func asksForSomething(_ value: JSONValue) -> Bool {
        if value.isNull || value.boolValue == false || value.stringValue == "" || value.intValue == 0 { return false }
        if let list = value.arrayValue { return !list.isEmpty }
        if let object = value.objectValue { return !object.isEmpty }
        return true
    }
}
