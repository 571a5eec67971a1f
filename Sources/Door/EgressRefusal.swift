/// A connection, or a name's address, that a machine asked for and did not get.
public struct EgressRefusal: Sendable, Hashable {
    public enum Reason: String, Sendable, CaseIterable {
        /// The host and port are not on the list.
        case notAllowed = "not_allowed"
        /// An address was asked for, and no name.
        case literal
        /// It resolves to addresses of private networks or of this host only.
        case notGlobal = "not_global"
        /// It resolves only to addresses that no option opens: of a link, for documentation, a cloud's own.
        case special
        /// On 443: the ClientHello names another host than the connection was opened to.
        case wrongName = "wrong_name"
        /// On 443: no whole ClientHello with a server's name came in time.
        case noTLSName = "no_tls_name"
        case unresolved
        case unreachable
        /// What came first was no request of the relay's.
        case malformed
        /// The connection came from another user id than the machine's.
        case foreignPeer = "foreign_peer"
        case tooMany = "too_many"
    }
    /// A name; an address where one was asked for.
    public let host: String
    /// 0 where it is not known: a name was only looked up.
    public let port: Int
    public let reason: Reason

    public init(host: String, port: Int, reason: Reason) {
        self.host = host
        self.port = port
        self.reason = reason
    }

    private var place: String { port == 0 ? host : "\(host):\(port)" }

    /// The option of `berth connector add` and `update` that would allow it; nil where none would.
    public var option: String? {
        switch reason {
        case .notAllowed: "--egress \(place)"
        case .wrongName: "--egress \(place)"
        case .notGlobal: "--egress-private \(place)"
        default: nil
        }
    }

    /// For a log.
    public var sentence: String {
        let why =
            switch reason {
            case .notAllowed: "is not on the list"
            case .literal: "is an address, and only names can be allowed"
            case .notGlobal: "resolves to private addresses only"
            case .special: "resolves to special addresses only, which no option opens"
            case .wrongName: "was asked for by TLS on a connection to another host"
            case .noTLSName: "got no TLS ClientHello with a server's name; 443 is for TLS alone"
            case .unresolved: "does not resolve"
            case .unreachable: "does not answer"
            case .malformed: "was not asked for in a form that the relay knows"
            case .foreignPeer: "is not the machine's agent"
            case .tooMany: "is one connection too many at a time"
            }
        let verb = reason == .unresolved || reason == .unreachable ? "egress failed" : "egress refused"
        return "\(verb): \(place) \(why)" + (option.map { "; to allow it along with the others: \($0)" } ?? "")
    }
}

/// What was refused, by host, port and reason, with counts: bounded, whoever asks again and again.
public struct EgressLedger: Sendable {
    public struct Row: Sendable, Equatable {
        public let refusal: EgressRefusal
        public var count: Int
        /// Milliseconds since 1970.
        public var last: Int64
    }

    /// Different ones that are kept.
    public static let limit = 256

    /// The first ones, in the order in which they came.
    public private(set) var rows: [Row] = []
    /// Refusals for which there was no row left.
    public private(set) var others = 0
    private var places: [EgressRefusal: Int] = [:]

    public init() {}

    /// - Returns: whether it is the first of its kind and has a row.
    @discardableResult
    public mutating func record(_ refusal: EgressRefusal, times: Int = 1, at now: Int64) -> Bool {
        if let place = places[refusal] {
            rows[place].count += times
            rows[place].last = now
            return false
        }
        guard rows.count < Self.limit else {
            others += times
            return false
        }
        places[refusal] = rows.count
        rows.append(Row(refusal: refusal, count: times, last: now))
        return true
    }
}
