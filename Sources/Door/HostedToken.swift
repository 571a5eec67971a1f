import Sealing

/// The hosted-auth token: a compact JWS, HS256 and nothing else, on every request over the private hop (DESIGN §5).
///
/// Its header is one fixed text per key, compared byte for byte, so that no algorithm is ever negotiated.
public enum HostedToken {
    /// The default name of the header that carries it.
    public static let headerName = "x-mintmcp-hosted-auth"
    /// Seconds between `iat` and `exp` at most.
    public static let maximumLifetime: Int64 = 120
    /// The same for a token addressed to an app instead of one machine.
    public static let maximumAppLifetime: Int64 = 15
    /// Seconds between `iat` and `exp` as minted.
    public static let defaultLifetime: Int64 = 15
    /// Seconds that two clocks may differ.
    public static let skew: Int64 = 30
    /// Bytes of a token at most.
    public static let maximumSize = 4_096

    /// Whom a token is for.
    public enum Audience: Hashable, Sendable, CustomStringConvertible {
        case machine(String)
        /// Only where the provider picks the machine.
        case app(String)

        public var isApp: Bool {
            if case .app = self { true } else { false }
        }

        /// The claim's text.
        public var description: String {
            switch self {
            case .machine(let id): "machine:\(id)"
            case .app(let name): "app:\(name)"
            }
        }
    }

    /// `jti`: a random sender per process and loop, and its counter for this audience.
    public struct ID: Hashable, Sendable, CustomStringConvertible {
        public var sender: UInt64
        public var counter: UInt64

        public init(sender: UInt64, counter: UInt64) {
            self.sender = sender
            self.counter = counter
        }

        /// The claim's text: 16 hex digits, a dot, the counter in decimal.
        public var description: String {
            let hex = String(sender, radix: 16)
            return String(repeating: "0", count: 16 - hex.utf8.count) + hex + "." + String(counter)
        }

        /// Reads the canonical text back.
        init?(_ text: UnsafeRawBufferPointer) {
            guard text.count >= 18, text.count <= 37, text[16] == UInt8(ascii: ".") else { return nil }
            var sender: UInt64 = 0
            for digit in text[..<16] {
                switch digit {
                case UInt8(ascii: "0")...UInt8(ascii: "9"): sender = sender << 4 | UInt64(digit - UInt8(ascii: "0"))
                case UInt8(ascii: "a")...UInt8(ascii: "f"): sender = sender << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
                default: return nil
                }
            }
            guard text[17] != UInt8(ascii: "0") || text.count == 18 else { return nil }
            var counter: UInt64 = 0
            for digit in text[17...] {
                guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
                let (product, over) = counter.multipliedReportingOverflow(by: 10)
                let (sum, carry) = product.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
                guard !over, !carry else { return nil }
                counter = sum
            }
            self.init(sender: sender, counter: counter)
        }
    }

    /// What a verified token says.
    public struct Claims: Sendable, Equatable {
        /// `iss`: who minted it (`gateway`, `orchestrator`).
        public var issuer: String
        public var audience: Audience
        /// `sub`: the principal.
        public var principal: String
        public var org: String
        /// `sid`: what the agent keeps children by; empty for requests outside a session.
        public var session: String
        /// `bid`: always with a machine's audience.
        public var boot: String?
        public var issuedAt: Int64
        public var expiresAt: Int64
        public var id: ID
        /// The key it was signed with: ``TokenVerifier/keys(for:)`` has the one that seals beside it.
        public var kid: String
    }

    /// Why a token was refused: the `reason` of the 401, and never more than that.
    public enum Refusal: String, Error, Sendable, CaseIterable {
        case missing
        case malformed
        case badSignature = "bad_signature"
        case unknownKey = "unknown_key"
        case expired
        case notYetValid = "not_yet_valid"
        case wrongAudience = "wrong_audience"
        case wrongOrg = "wrong_org"
        case wrongBoot = "wrong_boot"
        case replayed

        /// The body of the 401.
        public var body: [UInt8] { Array("{\"error\":\"hosted_auth\",\"reason\":\"\(rawValue)\"}".utf8) }
    }

    /// The one header text of a key.
    static func header(kid: String) -> [UInt8] {
        Array(Base64URL.encode(Array("\(headerPrefix)\(kid)\(headerSuffix)".utf8)).utf8)
    }

    static let headerPrefix = "{\"alg\":\"HS256\",\"kid\":\""
    static let headerSuffix = "\",\"typ\":\"JWT\"}"
}
