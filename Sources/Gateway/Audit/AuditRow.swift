import JSONText
import Sealing

/// How a call, or an action of an admin, ended.
public enum AuditOutcome: String, Sendable {
    case allowed, denied, error, timeout, cancelled, unknown
}

/// A payload as it is kept: redacted JSON text, perhaps cut.
public struct AuditText: Sendable, Equatable {
    public var text: String
    public var truncated: Bool

    public init(text: String, truncated: Bool = false) {
        self.text = text
        self.truncated = truncated
    }
}

/// One row of the audit log. The journal fills in chain, sequence and hashes; the texts are empty where they do not apply.
public struct AuditRow: Sendable, Equatable {
    /// 1, 2, 3, … within the chain.
    public var sequence: Int64 = 0
    /// Which writing loop's chain it is in.
    public var chain = ""
    /// Milliseconds since 1970.
    public var time: Int64
    public var principal: String
    /// Where the request came from, through the proxies that are trusted; empty for the control socket.
    public var clientAddress = ""
    public var tokenID = ""
    public var virtualMCP = ""
    public var connector = ""
    /// The tool (resource, prompt) by its name at the connector.
    public var tool = ""
    /// The same as the client named it.
    public var exposedTool = ""
    /// The protocol's method, or an admin action.
    public var method: String
    public var session = ""
    public var machine = ""
    public var boot = ""
    /// What the machine's agent knows the call by (the `jti` of its hosted-auth token); empty for what reached none.
    public var callID = ""
    public var outcome: AuditOutcome
    /// One line, where the outcome is not plain.
    public var reason = ""
    public var latencyMicroseconds: Int64 = 0
    public var arguments: AuditText?
    public var result: AuditText?
    /// Hash of the row before, 64 hex digits; zeros for the first.
    public var previousHash = ""
    /// SHA-256 of this row with `previousHash` in it.
    public var hash = ""

    public init(method: String, outcome: AuditOutcome, principal: String = "", time: Int64 = WallClock.milliseconds()) {
        self.method = method
        self.outcome = outcome
        self.principal = principal
        self.time = time
    }

    static let firstPreviousHash = String(repeating: "0", count: 64)

    /// Bytes of one text of a row; only payloads, which can be removed, may be longer.
    static let textLimit = 1_024

    /// The row with every text that a client or a server may have chosen within ``textLimit``.
    func bounded() -> AuditRow {
        let longest = max(
            max(max(principal.utf8.count, virtualMCP.utf8.count), max(tool.utf8.count, exposedTool.utf8.count)),
            max(max(method.utf8.count, session.utf8.count), reason.utf8.count))
        guard longest > Self.textLimit else { return self }
        var row = self
        for text in [\AuditRow.principal, \.virtualMCP, \.tool, \.exposedTool, \.method, \.session, \.reason] {
            row[keyPath: text] = Self.bounded(row[keyPath: text].utf8, to: Self.textLimit)
        }
        return row
    }

    /// The first `limit` bytes of a text, without half a character at the end. By bytes: one `Character` can be megabytes.
    static func bounded(_ text: some Collection<UInt8>, to limit: Int) -> String {
        guard text.count > limit else { return String(decoding: text, as: UTF8.self) }
        var bytes = Array(text.prefix(limit + 1))
        var end = limit
        while end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        bytes.removeSubrange(end...)
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Where a row's payload lies in its payload segment.
struct AuditPayloadReference: Equatable {
    var offset: Int
    var size: Int
    var hash: String
}

/// Why the journal could not take or give a row.
public struct AuditError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// The row is not in the log: the call must fail (or the setting to go on must be used).
        case cannotWrite = "audit_unavailable"
        /// The journal on disk is not what it was.
        case damaged = "audit_damaged"
    }
    public var code: Code
    public var message: String

    public var description: String { message }
}
