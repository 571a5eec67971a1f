import GRDB
import JSONText
import MachineAPI
import Wire

/// Why a connector did not become ready; nothing of it is left (or, at an update, the old one serves on).
public struct ProvisioningFailure: Error, Codable, Sendable, Equatable {
    public var error: String
    /// Of a server that cannot be hosted as it is: why, in a word that stays the same; see ``StartReason``.
    public var reason: String?
    /// With the reason `exit_before_ready`: the status that it ended with.
    public var exit_code: Int?
    public var message: String
    public var field: String?
    public var hint: String?
    /// The end of what the server (or the build) wrote to its standard error; for admins.
    public var stderr: String?
    /// Of `unconfirmed`: what a request has to accept to go on.
    public var accept: [String]?

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
    static let cancelled = ProvisioningFailure(error: "cancelled", message: "the caller went away", hint: "run the command again")
    static let orchestratorGone = ProvisioningFailure(
        error: "orchestrator_unavailable", message: "the orchestrator ended or did not answer before the command was done",
        hint: "wait until berth status answers, then run the command again")
    static let internalError = ProvisioningFailure(
        error: "internal", message: "the gateway could not do it", hint: "its log tells why: berth.log in the state directory")

    /// A name that is not there, with the nearest other one that is.
    ///
    /// - Parameter owner: the connector that was to have it.
    static func unknown(
        _ kind: String, _ name: String, among names: [String], field: String, of owner: String? = nil
    ) -> ProvisioningFailure {
        let list = owner.map { "berth connector show \($0)" } ?? (kind == "connector" ? "berth connector list" : "berth vmcp list")
        let message = owner.map { "\($0) has no \(kind) \(name.prefix(64))" } ?? "no \(kind) named \(name.prefix(64))"
        return ProvisioningFailure(
            error: "not_found", message: message, field: field,
            hint: Nearest.name(to: name, among: names.filter { $0 != name }).map { "did you mean '\($0)'?" } ?? list)
    }

    /// A connector that is there, and cannot be used as it is.
    static func notReady(_ record: ConnectorRecord, field: String) -> ProvisioningFailure {
        let (state, hint) =
            switch record.state {
            case .building:
                ("is not ready: its add is under way, or has failed and is being cleaned up", "berth connector list; to begin anew, add it again")
            case .removing: ("is being removed", "berth connector list; when it is gone, add it again")
            case .ready: ("is ready again", "run the command again")
            }
        return ProvisioningFailure(error: "not_ready", message: "the connector \(record.name) \(state)", field: field, hint: hint)
    }

    /// What went wrong between the gateway and the orchestrator, or within the gateway, in a sentence; nil for what is
    /// nobody's business but the log's.
    init?(explaining error: any Error) {
        switch error {
        case let failure as ProvisioningFailure: self = failure
        case let failure as ImageBuildFailure:
            self.init(
                error: failure.error, message: failure.message, field: ["bad_python", "python_unavailable"].contains(failure.error) ? "source.python" : "source",
                hint: failure.hint, stderr: failure.log)
            reason = StartReason(rawValue: failure.error)?.rawValue
            accept = failure.accept
        case let failure as DatabaseError where failure.resultCode == .SQLITE_FULL: self = .diskFull
        case is CancellationError: self = .cancelled
        case is ExchangeFailure: self = .orchestratorGone
        // Nobody answered.
        case let failure as MachineAPIError where failure.status == 0: self = .orchestratorGone
        case let failure as MachineAPIError:
            self.init(error: failure.code, message: failure.message, hint: failure.hint ?? "berth status, and berth.log in the state directory")
        case let failure as PinSearch.NotFound: self.init(error: "not_ready", message: failure.reason, hint: "run the command again")
        default: return nil
        }
    }
}
