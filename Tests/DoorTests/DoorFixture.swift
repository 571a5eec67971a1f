import Door
import Sealing

/// A clock that a test turns.
final class TestClock {
    var now: Int64
    init(_ now: Int64 = 1_800_000_000) { self.now = now }
}

/// One machine's keys and a verifier for it, at a time that a test turns.
struct DoorFixture {
    static let org = "01JORG"
    static let machine = "0123456789abcd"
    static let boot = "01JBOOT"

    let clock = TestClock()
    let root: AppRoot
    let keys: DoorKeys
    let verifier: TokenVerifier
    let minter: TokenMinter

    init() throws {
        root = try AppRoot.derive(master: Secret([UInt8](repeating: 7, count: 32)), org: Self.org, app: "weather")
        keys = try DoorKeys(root: root, machine: Self.machine, boot: Self.boot)
        let clock = clock
        verifier = try TokenVerifier(keys: keys, org: Self.org, clock: { clock.now })
        minter = try TokenMinter(keys: keys, org: Self.org, sender: 0xABCD, clock: { clock.now })
    }

    /// A second minter for the same machine, as another loop has one.
    func minter(sender: UInt64, counter: UInt64 = 0, keys: DoorKeys? = nil, org: String = org) throws -> TokenMinter {
        let clock = clock
        return try TokenMinter(keys: keys ?? self.keys, org: org, sender: sender, counter: counter, clock: { clock.now })
    }

    func header(_ text: String? = nil) -> String { text ?? "{\"alg\":\"HS256\",\"kid\":\"\(keys.kid)\",\"typ\":\"JWT\"}" }

    /// The claims of a good token, with members replaced (`nil` leaves one out); values are JSON text.
    func claims(_ changes: [String: String?] = [:], extra: String = "") -> String {
        var members: [(String, String)] = [
            ("iss", "\"gateway\""), ("aud", "\"machine:\(Self.machine)\""), ("sub", "\"alice\""), ("org", "\"\(Self.org)\""),
            ("sid", "\"s1\""), ("bid", "\"\(Self.boot)\""), ("iat", "\(clock.now)"), ("exp", "\(clock.now + 15)"),
            ("jti", "\"00000000000000ff.1\""),
        ]
        for (name, value) in changes {
            members.removeAll { $0.0 == name }
            if let value { members.append((name, value)) }
        }
        return "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + extra + "}"
    }

    /// Signs whatever header and claims.
    func token(header: String? = nil, claims: String, key: Secret? = nil) throws -> String {
        let signed = Base64URL.encode(Array(self.header(header).utf8)) + "." + Base64URL.encode(Array(claims.utf8))
        let tag = try HMACKey(key ?? keys.sign).tag(of: Array(signed.utf8))
        return signed + "." + Base64URL.encode(tag)
    }

    func refusal(_ values: [String]) -> HostedToken.Refusal? {
        switch verifier.verify(headerValues: values) {
        case .success: nil
        case .failure(let reason): reason
        }
    }
}
