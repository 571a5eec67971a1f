import Sealing

/// Checks hosted-auth tokens at a machine's door; loop-confined. Everything is decided from the request's head.
public final class TokenVerifier {
    private struct Entry {
        var keys: DoorKeys
        var header: [UInt8]
        var mac: HMACKey
        var audience: String
    }

    private let org: String
    private let startedAt: Int64
    private let clock: () -> Int64
    private var entries: [Entry] = []
    private var replays = ReplayGuard()
    private let scratch: UnsafeMutableRawBufferPointer
    /// Refusals so far, by reason.
    public private(set) var refusals: [HostedToken.Refusal: Int] = [:]

    /// - Parameters:
    ///   - keys: the boot's keys; their scope is the machine and boot that a token must name.
    ///   - clock: seconds since 1970.
    public init(keys: DoorKeys, org: String, clock: @escaping () -> Int64 = WallClock.seconds) throws(SealingError) {
        self.org = org
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
            keys: keys, header: HostedToken.header(kid: keys.kid), mac: try HMACKey(keys.sign), audience: keys.audience.description)
        entries.removeAll { $0.keys.scope == keys.scope && $0.keys.generation == keys.generation }
        entries.append(entry)
        let generations = entries.filter { $0.keys.scope == keys.scope }.map(\.keys.generation).sorted()
        if generations.count > 2 {
            entries.removeAll { $0.keys.scope == keys.scope && $0.keys.generation == generations[0] }
        }
    }

    /// The newest keys of the scope that a verified token was under: their `seal` key opens what came with it.
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

        guard claims.audience == entry.audience else { throw .wrongAudience }
        guard claims.org == org else { throw .wrongOrg }
        switch entry.keys.scope {
        case .machine(_, let boot):
            guard claims.boot == boot else { throw .wrongBoot }
        case .app:
            guard claims.issuedAt >= startedAt else { throw .wrongBoot }
            guard claims.expiresAt - claims.issuedAt <= HostedToken.maximumAppLifetime else { throw .malformed }
        }
        guard claims.expiresAt + HostedToken.skew > now else { throw .expired }
        guard max(claims.issuedAt, claims.notBefore) <= now + HostedToken.skew else { throw .notYetValid }
        guard replays.enter(claims.id, now: now) else { throw .replayed }
        return HostedToken.Claims(
            issuer: claims.issuer, audience: entry.keys.audience, principal: claims.principal, org: claims.org, session: claims.session,
            boot: claims.boot, issuedAt: claims.issuedAt, expiresAt: claims.expiresAt, id: claims.id)
    }

    /// The key whose header the token carries and whose signature holds.
    private func signer(of value: UnsafeRawBufferPointer, header: Int, signed: Int) throws(HostedToken.Refusal) -> Entry {
        let head = UnsafeRawBufferPointer(rebasing: value[..<header])
        let message = UnsafeRawBufferPointer(rebasing: value[..<signed])
        let signature = UnsafeRawBufferPointer(rebasing: value[(signed + 1)...])
        var tag: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var known = false
        var match: Entry?
        // The header's text is public, so its comparison need not be constant in time; the signature's is.
        for entry in entries where entry.header.elementsEqual(head) {
            if !known {
                guard signature.count == Base64URL.encodedCount(HMACKey.tagSize),
                    withUnsafeMutableBytes(of: &tag, { Base64URL.decode(signature, into: $0) }) == HMACKey.tagSize
                else { throw .malformed }
                known = true
            }
            if withUnsafeBytes(of: tag, { entry.mac.isValid(tag: $0, of: message) }), match == nil { match = entry }
        }
        if let match { return match }
        throw known ? .badSignature : Self.isHeader(head, scratch: scratch) ? .unknownKey : .malformed
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
        var audience = ""
        var principal = ""
        var org = ""
        var session = ""
        var boot: String?
        var issuedAt: Int64 = 0
        var expiresAt: Int64 = 0
        var notBefore: Int64 = 0
        var id = HostedToken.ID(sender: 0, counter: 0)
    }

    /// The claims, all present and well-formed.
    private static func claims(_ payload: UnsafeRawBufferPointer) throws(HostedToken.Refusal) -> RawClaims {
        var scanner = ClaimsScanner(payload)
        guard let members = scanner.members() else { throw .malformed }
        var claims = RawClaims()
        var required = 0
        for (name, value) in members {
            switch (name, value) {
            case ("iss", .text(let text)): claims.issuer = text
            case ("aud", .text(let text)): claims.audience = text
            case ("sub", .text(let text)): claims.principal = text
            case ("org", .text(let text)): claims.org = text
            case ("sid", .text(let text)): claims.session = text
            case ("bid", .text(let text)): claims.boot = text
            case ("iat", .number(let number)): claims.issuedAt = number
            case ("exp", .number(let number)): claims.expiresAt = number
            case ("nbf", .number(let number)): claims.notBefore = number
            case ("jti", .text(let text)):
                guard let id = HostedToken.ID(text) else { throw .malformed }
                claims.id = id
            case ("iss", _), ("aud", _), ("sub", _), ("org", _), ("sid", _), ("bid", _), ("iat", _), ("exp", _), ("nbf", _), ("jti", _):
                throw .malformed
            default: continue
            }
            if name != "bid", name != "nbf" { required += 1 }
        }
        guard required == 8, claims.expiresAt >= claims.issuedAt, claims.issuedAt >= 0, claims.notBefore >= 0,
            claims.expiresAt - claims.issuedAt <= HostedToken.maximumLifetime
        else { throw .malformed }
        return claims
    }
}
