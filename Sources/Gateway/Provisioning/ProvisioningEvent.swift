import JSONText
public import MachineAPI

/// One line of an `add` or `update`, NDJSON on the wire.
public enum ProvisioningEvent: Sendable {
    case step(String)
    case ready(name: String, tools: Int, seconds: Double)
    case failed(ProvisioningFailure)
}

/// Why a connector did not become ready; nothing of it is left (or, at an update, the old one serves on).
public struct ProvisioningFailure: Error, Codable, Sendable, Equatable {
    public var error: String
    public var message: String
    public var field: String?
    public var hint: String?
    /// The end of what the server (or the build) wrote to its standard error; for admins.
    public var stderr: String?

    public init(error: String, message: String, field: String? = nil, hint: String? = nil, stderr: String? = nil) {
        self.error = error
        self.message = message
        self.field = field
        self.hint = hint
        self.stderr = stderr
    }
}

extension ProvisioningFailure {
    static let diskFull = ProvisioningFailure(
        error: "disk_full", message: "the disk of the state directory is full", hint: "free some space on it, then run the command again")

    /// A name that is not there, with the nearest one that is.
    static func unknown(_ kind: String, _ name: String, among names: [String], field: String) -> ProvisioningFailure {
        let list = kind == "connector" ? "berth connector list" : "berth vmcp list"
        return ProvisioningFailure(
            error: "not_found", message: "no \(kind) named \(name.prefix(64))", field: field,
            hint: Nearest.name(to: name, among: names).map { "did you mean '\($0)'?" } ?? list)
    }
}

/// What an admin asks for. An update changes what it names; the rest stays as it is.
public struct ConnectorRequest: Codable, Sendable, Equatable {
    public var name: String
    /// Required for a new connector.
    public var source: ImageSource?
    public var args: [String]?
    public var command: [String]?
    public var env: [String: String]?
    /// Values; write-only.
    public var secrets: [String: String]?
    /// Names that an update takes away.
    public var drop_secrets: [String]?
    /// An update that begins anew: what it does not name is the default again. Secrets stay.
    public var reset: Bool?
    public var memory_mb: Int?
    public var pids: Int?
}
