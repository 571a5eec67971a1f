import JSONText
import Sealing

/// One minting loop: a random sender, and the counters of every audience it speaks to. Make one per event loop and keep
/// it for the life of the process, since a counter that starts again is a replay.
public final class TokenSender {
    /// In every `jti`.
    public let id: UInt64
    private var minters: [DoorKeys.Scope: TokenMinter] = [:]

    public init(id: UInt64 = .random(in: .min ... .max)) {
        self.id = id
    }

    /// The minter for the machine (or app) of `keys`. Another generation of the same scope goes on with its counter.
    public func minter(for keys: DoorKeys, org: String, issuer: String = "gateway") throws(SealingError) -> TokenMinter {
        let known = minters[keys.scope]
        if let known, known.keys.kid == keys.kid, known.org == org, known.issuer == issuer { return known }
        let minter = try TokenMinter(keys: keys, org: org, issuer: issuer, sender: id, counter: known?.counter ?? 0)
        minters[keys.scope] = minter
        return minter
    }

    /// Drops the minter of a boot that is over. Boot ids never return, so neither does its counter.
    public func forget(_ scope: DoorKeys.Scope) {
        minters[scope] = nil
    }
}

/// Mints tokens for one audience; loop-confined. A token costs one HMAC over bytes in a reused buffer.
public final class TokenMinter {
    public let keys: DoorKeys
    public let org: String
    public let issuer: String
    /// Seconds from `iat` to `exp`.
    public let lifetime: Int64

    private let sender: UInt64
    private(set) var counter: UInt64
    private let clock: () -> Int64
    private let mac: HMACKey
    /// `<header>.`
    private let head: [UInt8]
    /// The claims that never change, up to the principal's text.
    private let claimsStart: [UInt8]
    private let jtiStart: [UInt8]
    private var payload: [UInt8] = []
    private var token: UnsafeMutableRawBufferPointer

    /// - Parameter clock: seconds since 1970.
    public init(
        keys: DoorKeys, org: String, issuer: String = "gateway", sender: UInt64, counter: UInt64 = 0,
        lifetime: Int64 = HostedToken.defaultLifetime, clock: @escaping () -> Int64 = WallClock.seconds
    ) throws(SealingError) {
        self.keys = keys
        self.org = org
        self.issuer = issuer
        self.sender = sender
        self.counter = counter
        self.clock = clock
        let longest =
            switch keys.scope {
            case .machine: HostedToken.maximumLifetime
            case .app: HostedToken.maximumAppLifetime
            }
        self.lifetime = min(max(lifetime, 1), longest)
        mac = try HMACKey(keys.sign)
        head = HostedToken.header(kid: keys.kid) + [UInt8(ascii: ".")]
        var start: [UInt8] = Array("{\"iss\":\"".utf8)
        JSONString.appendContent(issuer, to: &start)
        start += Array("\",\"aud\":\"".utf8)
        JSONString.appendContent(keys.audience.description, to: &start)
        start += Array("\",\"org\":\"".utf8)
        JSONString.appendContent(org, to: &start)
        if let boot = keys.boot {
            start += Array("\",\"bid\":\"".utf8)
            JSONString.appendContent(boot, to: &start)
        }
        start += Array("\",\"sub\":\"".utf8)
        claimsStart = start
        jtiStart = Array(",\"jti\":\"\(HostedToken.ID(sender: sender, counter: 0).description.dropLast())".utf8)
        payload.reserveCapacity(512)
        token = .allocate(byteCount: 1_024, alignment: 8)
    }

    deinit { token.deallocate() }

    /// Mints a token and shows its ASCII bytes to `body`, valid only there: for a head that is written as bytes.
    ///
    /// - Returns: the token's id, which sealed credentials sent with it are bound to.
    /// - Throws: ``SealingError/size`` when principal and session make it longer than ``HostedToken/maximumSize``.
    @discardableResult
    public func mint(
        principal: String, session: String, body: (UnsafeRawBufferPointer) -> Void
    ) throws(SealingError) -> HostedToken.ID {
        counter += 1
        let now = clock()
        payload.removeAll(keepingCapacity: true)
        payload.append(contentsOf: claimsStart)
        JSONString.appendContent(principal, to: &payload)
        payload.append(contentsOf: "\",\"sid\":\"".utf8)
        JSONString.appendContent(session, to: &payload)
        payload.append(contentsOf: "\",\"iat\":".utf8)
        JSONNumber.append(UInt64(clamping: now), to: &payload)
        payload.append(contentsOf: ",\"exp\":".utf8)
        JSONNumber.append(UInt64(clamping: now + lifetime), to: &payload)
        payload.append(contentsOf: jtiStart)
        JSONNumber.append(counter, to: &payload)
        payload.append(contentsOf: "\"}".utf8)

        let signed = head.count + Base64URL.encodedCount(payload.count)
        let size = signed + 1 + Base64URL.encodedCount(HMACKey.tagSize)
        guard size <= HostedToken.maximumSize else { throw .size }
        if size > token.count {
            token.deallocate()
            token = .allocate(byteCount: HostedToken.maximumSize, alignment: 8)
        }
        head.withUnsafeBytes { token.copyMemory(from: $0) }
        payload.withUnsafeBytes { _ = Base64URL.encode($0, into: UnsafeMutableRawBufferPointer(rebasing: token[head.count...])) }
        try sign(count: signed)
        body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(token)[..<size]))
        return HostedToken.ID(sender: sender, counter: counter)
    }

    /// Mints a token as text, for a header of a client library.
    public func mint(principal: String, session: String) throws(SealingError) -> (token: String, id: HostedToken.ID) {
        var text = ""
        let id = try mint(principal: principal, session: session) { text = String(decoding: $0, as: UTF8.self) }
        return (text, id)
    }

    /// Appends a dot and the tag of the first `count` bytes of the buffer.
    private func sign(count: Int) throws(SealingError) {
        var tag: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var failure: SealingError?
        let message = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(token)[..<count])
        withUnsafeMutableBytes(of: &tag) { tag in
            do throws(SealingError) { try mac.authenticate(message, into: tag) } catch { failure = error }
            token[count] = UInt8(ascii: ".")
            Base64URL.encode(UnsafeRawBufferPointer(tag), into: UnsafeMutableRawBufferPointer(rebasing: token[(count + 1)...]))
        }
        if let failure { throw failure }
    }
}
