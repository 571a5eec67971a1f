import JSONText
public import MachineAPI

/// One line of an `add` or `update`, NDJSON on the wire.
public enum ProvisioningEvent: Sendable {
    case step(String)
    /// What is about to be built for the first time.
    case release(ReleaseReport)
    case ready(name: String, tools: Int, seconds: Double)
    case passed(ImageTrial, seconds: Double)
    case changes(VersionChanges)
    case failed(ProvisioningFailure)
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
    public var drop_env: [String]?
    /// An update that begins anew: what it does not name is the default again. Secrets stay.
    public var reset: Bool?
    public var memory_mb: Int?
    public var pids: Int?
    public var hosting: ConnectorHosting.Request?
    /// `auto`, `legacy` or `modern`.
    public var era: String?
    /// `PORT` or `PORT/PATH` of a server that speaks Streamable HTTP; empty for STDIO.
    public var http: String?
    /// Texts of `EgressRule`; given, they replace those before.
    public var egress: [String]?
    public var egress_private: [String]?
    public var life: ConnectorLifeRequest?
    /// Releases to which somebody has said yes, as the event `release` and the failure `unconfirmed` name them; of this request alone.
    public var accept: [String]?
}
