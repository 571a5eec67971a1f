import Sealing

/// Checks hosted-auth tokens at a machine's door; loop-confined. Everything is decided from the request's head.
public final class TokenVerifier {
    private struct Entry {
        var keys: DoorKeys
        var header: [UInt8]
        var mac: HMACKey
        var audience: [UInt8]
        var boot: [UInt8]?
    }

    private let org: String
    private let orgBytes: [UInt8]
    private let startedAt: Int64
    private let clock: () -> Int64
    private var entries: [Entry] = []
    private var replays = ReplayGuard()
    /// A sender counts for each audience by itself.
    private var appReplays = ReplayGuard()
    private let scratch: UnsafeMutableRawBufferPointer
    /// Refusals so far, by reason.
    public private(set) var refusals: [HostedToken.Refusal: Int] = [:]

    /// - Parameters:
    ///   - keys: the boot's keys; their scope is the machine and boot that a token must name.
    ///   - clock: seconds since 1970.
    public init(keys: DoorKeys, org: String, clock: @escaping () -> Int64 = WallClock.seconds) throws(SealingError) {
        self.org = org
        orgBytes = Array(org.utf8)
        self.clock = clock
        startedAt = clock()
        scratch = .allocate(byteCount: HostedToken.maximumSize, alignment: 8)
        try accept(keys)
    }

    deinit { scratch.deallocate() }

    /// Takes another generation (or the app's keys beside the machine's). Two generations of a scope are accepted; an
    /// older one leaves.
    public func accept(_ keys: DoorKeys) throws(SealingError) {
        let entry = Entry(
            keys: keys, header: HostedToken.header(kid: keys.kid), mac: try HMACKey(keys.sign),
            audience: Array(keys.audience.description.utf8), boot: keys.boot.map { Array($0.utf8) })
        entries.removeAll { $0.keys.scope == keys.scope && $0.keys.generation == keys.generation }
        entries.append(entry)
        let generations = entries.filter { $0.keys.scope == keys.scope }.map(\.keys.generation).sorted()
        if generations.count > 2 {
            entries.removeAll { $0.keys.scope == keys.scope && $0.keys.generation == generations[0] }
        }
    }

    /// The keys that a verified token was under: their `seal` key opens what came with it, also while rotating.
    public func keys(for kid: String) -> DoorKeys? { entries.first { $0.keys.kid == kid }?.keys }

    /// The newest keys.
    public var newest: DoorKeys? { entries.max { $0.keys.generation < $1.keys.generation }?.keys }

    /// Verifies the values of the token's header, in the order that the head has them: one is right, none is `missing`,
    /// more are `malformed`.
    public func verify(headerValues: [String]) -> Result<HostedToken.Claims, HostedToken.Refusal> {
        guard var value = headerValues.first else { return refuse(.missing) }
        guard headerValues.count == 1 else { return refuse(.malformed) }
        return value.withUTF8 { verify(UnsafeRawBufferPointer($0)) }
    }

    /// Verifies the one value of the token's header.
    public func verify(_ value: UnsafeRawBufferPointer) -> Result<HostedToken.Claims, HostedToken.Refusal> {
        do throws(HostedToken.Refusal) {
            return .success(try check(value))
        } catch {
            return refuse(error)
        }
    }

    /// Counts a refusal that the caller found by itself (`missing`, or `malformed` for a second header).
    public func refuse(_ reason: HostedToken.Refusal) -> Result<HostedToken.Claims, HostedToken.Refusal> {
        refusals[reason, default: 0] += 1
        return .failure(reason)
    }

    private func check(_ value: UnsafeRawBufferPointer) throws(HostedToken.Refusal) -> HostedToken.Claims {
        guard value.count <= HostedToken.maximumSize, value.count > 0 else { throw .malformed }
        guard let first = value.firstIndex(of: UInt8(ascii: ".")),
            let second = value[(first + 1)...].firstIndex(of: UInt8(ascii: ".")),
            !value[(second + 1)...].contains(UInt8(ascii: "."))
        else { throw .malformed }

        let entry = try signer(of: value, header: first, signed: second)
        let encoded = UnsafeRawBufferPointer(rebasing: value[(first + 1)..<second])
        guard let count = Base64URL.decode(encoded, into: scratch) else { throw .malformed }
        let claims = try Self.claims(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(scratch)[..<count]))
        let now = clock()

        guard claims.audience.equals(entry.audience) else { throw .wrongAudience }
        guard claims.org.equals(orgBytes) else { throw .wrongOrg }
        switch entry.keys.scope {
        case .machine:
            guard let boot = entry.boot, claims.boot.equals(boot) else { throw .wrongBoot }
        case .app:
            guard claims.issuedAt >= startedAt else { throw .wrongBoot }
            guard claims.expiresAt - claims.issuedAt <= HostedToken.maximumAppLifetime else { throw .malformed }
        }
        guard claims.expiresAt + HostedToken.skew > now else { throw .expired }
        guard max(claims.issuedAt, claims.notBefore) <= now + HostedToken.skew else { throw .notYetValid }
        let isNew = entry.keys.boot == nil ? appReplays.enter(claims.id, now: now) : replays.enter(claims.id, now: now)
        guard isNew else { throw .replayed }
        return HostedToken.Claims(
            issuer: claims.issuer, audience: entry.keys.audience, principal: claims.principal, org: org, session: claims.session,
            boot: entry.keys.boot, issuedAt: claims.issuedAt, expiresAt: claims.expiresAt, id: claims.id, kid: entry.keys.kid)
    }

    /// The key whose header the token carries and whose signature holds.
    private func signer(of value: UnsafeRawBufferPointer, header: Int, signed: Int) throws(HostedToken.Refusal) -> Entry {
        let head = UnsafeRawBufferPointer(rebasing: value[..<header])
        let message = UnsafeRawBufferPointer(rebasing: value[..<signed])
        let signature = UnsafeRawBufferPointer(rebasing: value[(signed + 1)...])
        var tag: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var known = false
        var match: Int?
        for index in entries.indices where Self.equal(entries[index].header, head) {
            if !known {
                guard signature.count == Base64URL.encodedCount(HMACKey.tagSize),
                    withUnsafeMutableBytes(of: &tag, { Base64URL.decode(signature, into: $0) }) == HMACKey.tagSize
                else { throw .malformed }
                known = true
            }
            let mac = entries[index].mac
            if withUnsafeBytes(of: tag, { mac.isValid(tag: $0, of: message) }), match == nil { match = index }
        }
        if let match { return entries[match] }
        throw known ? .badSignature : Self.isHeader(head, scratch: scratch) ? .unknownKey : .malformed
    }

    private static func equal(_ left: [UInt8], _ right: UnsafeRawBufferPointer) -> Bool {
        left.count == right.count && left.withUnsafeBytes { constantTimeEquals($0, right) }
    }

    /// Whether this is the one header text, under whatever key.
    private static func isHeader(_ encoded: UnsafeRawBufferPointer, scratch: UnsafeMutableRawBufferPointer) -> Bool {
        guard let count = Base64URL.decode(encoded, into: scratch) else { return false }
        let text = scratch[..<count]
        let prefix = HostedToken.headerPrefix.utf8
        let suffix = HostedToken.headerSuffix.utf8
        guard count > prefix.count + suffix.count, text.starts(with: prefix), text.suffix(suffix.count).elementsEqual(suffix) else {
            return false
        }
        let kid = text.dropFirst(prefix.count).dropLast(suffix.count)
        return kid.count <= 128 && kid.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    }

    private struct RawClaims {
        var issuer = ""
        var audience = ClaimsScanner.Value.literal
        var principal = ""
        var org = ClaimsScanner.Value.literal
        var session = ""
        var boot = ClaimsScanner.Value.literal
        var issuedAt: Int64 = 0
        var expiresAt: Int64 = 0
        var notBefore: Int64 = 0
        var id = HostedToken.ID(sender: 0, counter: 0)
    }

    private enum Claim {
        static let iss = ClaimsScanner.name("iss")
        static let aud = ClaimsScanner.name("aud")
        static let sub = ClaimsScanner.name("sub")
        static let org = ClaimsScanner.name("org")
        static let sid = ClaimsScanner.name("sid")
        static let bid = ClaimsScanner.name("bid")
        static let iat = ClaimsScanner.name("iat")
        static let exp = ClaimsScanner.name("exp")
        static let nbf = ClaimsScanner.name("nbf")
        static let jti = ClaimsScanner.name("jti")
    }

    /// The claims, all present once and well-formed.
    private static func claims(_ payload: UnsafeRawBufferPointer) throws(HostedToken.Refusal) -> RawClaims {
        var scanner = ClaimsScanner(payload)
        var claims = RawClaims()
        var seen: UInt16 = 0
        func once(_ bit: UInt16) throws(HostedToken.Refusal) {
            guard seen & 1 << bit == 0 else { throw .malformed }
            seen |= 1 << bit
        }
        scan: while true {
            switch scanner.next() {
            case .end: break scan
            case .malformed: throw .malformed
            case .member(let name, let value):
                switch name {
                case Claim.iss:
                    try once(0)
                    claims.issuer = try text(value)
                case Claim.aud:
                    try once(1)
                    claims.audience = try string(value)
                case Claim.sub:
                    try once(2)
                    claims.principal = try text(value)
                case Claim.org:
                    try once(3)
                    claims.org = try string(value)
                case Claim.sid:
                    try once(4)
                    claims.session = try text(value)
                case Claim.iat:
                    try once(5)
                    claims.issuedAt = try number(value)
                case Claim.exp:
                    try once(6)
                    claims.expiresAt = try number(value)
                case Claim.jti:
                    try once(7)
                    claims.id = try id(value)
                case Claim.bid:
                    try once(8)
                    claims.boot = try string(value)
                case Claim.nbf:
                    try once(9)
                    claims.notBefore = try number(value)
                default: continue scan
                }
            }
        }
        guard seen & 0xFF == 0xFF, claims.expiresAt >= claims.issuedAt, claims.issuedAt >= 0, claims.notBefore >= 0,
            claims.expiresAt - claims.issuedAt <= HostedToken.maximumLifetime
        else { throw .malformed }
        return claims
    }

    /// A string that is only compared: no copy is made.
    private static func string(_ value: ClaimsScanner.Value) throws(HostedToken.Refusal) -> ClaimsScanner.Value {
        switch value {
        case .raw, .text: return value
        case .number, .literal: throw .malformed
        }
    }

    private static func text(_ value: ClaimsScanner.Value) throws(HostedToken.Refusal) -> String {
        guard let text = value.string else { throw .malformed }
        return text
    }

    private static func number(_ value: ClaimsScanner.Value) throws(HostedToken.Refusal) -> Int64 {
        guard case .number(let number) = value else { throw .malformed }
        return number
    }

    private static func id(_ value: ClaimsScanner.Value) throws(HostedToken.Refusal) -> HostedToken.ID {
        let id: HostedToken.ID?
        switch value {
        case .raw(let bytes): id = HostedToken.ID(bytes)
        case .text(let text): id = Array(text.utf8).withUnsafeBytes { HostedToken.ID($0) }
        case .number, .literal: id = nil
        }
        guard let id else { throw .malformed }
        return id
    }
}
