/// The two families of protocol revisions.
public enum Era: String, Sendable {
    /// The handshake revisions, 2024-11-05 to 2025-11-25.
    case legacy
    /// 2026-07-28: stateless, request by request. What everything inside Berth speaks.
    case modern
}

/// The revisions this module speaks.
public enum ProtocolVersion {
    public static let modern = "2026-07-28"
    /// The handshake revisions, oldest first.
    public static let legacy = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
    public static let latestLegacy = "2025-11-25"
    /// Whether clients of a revision know of events without a message, from which a stream can be resumed (2025-11-25, SEP-1699).
    static func primes(_ version: String) -> Bool { version == latestLegacy }

    /// The revision whose clients may send arrays of messages.
    static let batching = "2025-03-26"
}

/// Names in `_meta` that the protocol reserves.
public enum MetaKey {
    public static let reservedPrefix = "io.modelcontextprotocol/"
    public static let protocolVersion = "io.modelcontextprotocol/protocolVersion"
    public static let clientCapabilities = "io.modelcontextprotocol/clientCapabilities"
    public static let clientInfo = "io.modelcontextprotocol/clientInfo"
    public static let logLevel = "io.modelcontextprotocol/logLevel"
    public static let serverInfo = "io.modelcontextprotocol/serverInfo"
    public static let subscriptionID = "io.modelcontextprotocol/subscriptionId"
    public static let progressToken = "progressToken"
}

/// Severities of log messages, least severe first.
enum LogLevel {
    static let all = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]

    static func severity(_ level: String) -> Int? {
        all.firstIndex(of: level)
    }
}
