import Door
import Sealing
import Testing

@Suite("hosted-auth token")
struct HostedTokenTests {
    @Test func aMintedTokenVerifiesWithItsClaims() throws {
        let door = try DoorFixture()
        let (token, id) = try door.minter.mint(principal: "al\"ice\u{1}\\ é", session: "s-1")
        let claims = try door.verifier.verify(headerValues: [token]).get()
        #expect(claims.principal == "al\"ice\u{1}\\ é")
        #expect(claims.session == "s-1")
        #expect(claims.issuer == "gateway")
        #expect(claims.audience == .machine(DoorFixture.machine))
        #expect(claims.boot == DoorFixture.boot)
        #expect(claims.org == DoorFixture.org)
        #expect(claims.issuedAt == door.clock.now && claims.expiresAt == door.clock.now + 15)
        #expect(claims.kid == door.keys.kid && door.verifier.keys(for: claims.kid)?.seal == door.keys.seal)
        #expect(claims.id == id && id.description == "000000000000abcd.1")
    }

    @Test func theTokenIsACompactJWSWithTheFixedHeader() throws {
        let door = try DoorFixture()
        let parts = try door.minter.mint(principal: "alice", session: "").token.split(separator: ".")
        #expect(parts.count == 3)
        let header = try #require(Base64URL.decode(String(parts[0])))
        #expect(String(decoding: header, as: UTF8.self) == "{\"alg\":\"HS256\",\"kid\":\"\(door.root.id).1\",\"typ\":\"JWT\"}")
    }

    @Test func aSecondUseIsReplayed() throws {
        let door = try DoorFixture()
        let token = try door.minter.mint(principal: "alice", session: "s").token
        #expect(door.refusal([token]) == nil)
        #expect(door.refusal([token]) == .replayed)
        #expect(door.verifier.refusals == [.replayed: 1])
    }

    @Test func noHeaderIsMissingAndTwoAreMalformed() throws {
        let door = try DoorFixture()
        let token = try door.minter.mint(principal: "alice", session: "s").token
        #expect(door.refusal([]) == .missing)
        #expect(door.refusal([token, token]) == .malformed)
        #expect(door.refusal([token]) == nil, "a refusal must not have used the token up")
    }

    /// Header texts that must never be negotiated with.
    @Test(arguments: [
        "{\"alg\":\"none\",\"kid\":\"KID\",\"typ\":\"JWT\"}", "{\"alg\":\"HS512\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"RS256\",\"kid\":\"KID\",\"typ\":\"JWT\"}", "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
        "{\"kid\":\"KID\",\"alg\":\"HS256\",\"typ\":\"JWT\"}", "{\"alg\":\"HS256\",\"kid\":\"KID\",\"typ\":\"JWT\",\"jwk\":{}}",
        "{\"alg\":\"HS256\",\"kid\":\"a\\\"b\",\"typ\":\"JWT\"}", "{}", "",
    ])
    func anyOtherHeaderIsMalformed(header: String) throws {
        let door = try DoorFixture()
        let text = header.split(separator: "KID", omittingEmptySubsequences: false).joined(separator: door.keys.kid)
        #expect(door.refusal([try door.token(header: text, claims: door.claims())]) == .malformed)
    }

    @Test func anUnsignedTokenIsMalformed() throws {
        let door = try DoorFixture()
        let good = try door.token(claims: door.claims())
        let signed = good.split(separator: ".").dropLast().joined(separator: ".")
        let long = String(repeating: "a", count: 5_000)
        for bad in ["", signed, signed + ".", good + ".x", good + "=", "a.b", ".", "..", "...", long, " " + good] {
            #expect(door.refusal([bad]) == .malformed, "\(bad)")
        }
        #expect(door.refusal([good]) == nil)
    }

    @Test func keysOfOthersDoNotOpenThisDoor() throws {
        let door = try DoorFixture()
        let sibling = try DoorKeys(root: door.root, machine: "ffffffffffffff", boot: DoorFixture.boot)
        let former = try DoorKeys(root: door.root, machine: DoorFixture.machine, boot: "01JOLD")
        let next = try DoorKeys(root: door.root, machine: DoorFixture.machine, boot: DoorFixture.boot, generation: 2)
        let foreign = try DoorKeys(
            root: try AppRoot.derive(master: Secret([UInt8](repeating: 7, count: 32)), org: DoorFixture.org, app: "other"),
            machine: DoorFixture.machine, boot: DoorFixture.boot)
        // The kid of the first two is this door's, so that the signature speaks.
        #expect(door.refusal([try door.minter(sender: 1, keys: sibling).mint(principal: "a", session: "s").token]) == .badSignature)
        #expect(door.refusal([try door.minter(sender: 1, keys: former).mint(principal: "a", session: "s").token]) == .badSignature)
        #expect(door.refusal([try door.minter(sender: 1, keys: next).mint(principal: "a", session: "s").token]) == .unknownKey)
        #expect(door.refusal([try door.minter(sender: 1, keys: foreign).mint(principal: "a", session: "s").token]) == .unknownKey)
    }

    @Test func aChangedByteIsABadSignature() throws {
        let door = try DoorFixture()
        let parts = try door.token(claims: door.claims()).split(separator: ".").map(String.init)
        let other = Base64URL.encode(Array(door.claims(["sub": "\"mallory\""]).utf8))
        #expect(door.refusal(["\(parts[0]).\(other).\(parts[2])"]) == .badSignature)
        let zeros = Base64URL.encode([UInt8](repeating: 0, count: 32))
        #expect(door.refusal(["\(parts[0]).\(parts[1]).\(zeros)"]) == .badSignature)
        #expect(door.refusal(["\(parts[0]).\(parts[1]).\(zeros.dropLast())"]) == .malformed)
    }

    /// Claims that are signed all right and still not good here.
    static let wrong: [(String, String?, HostedToken.Refusal?)] = [
        ("aud", "\"machine:ffffffffffffff\"", .wrongAudience), ("aud", "\"app:weather\"", .wrongAudience),
        ("org", "\"01JOTHER\"", .wrongOrg), ("bid", "\"01JOLD\"", .wrongBoot), ("bid", nil, .wrongBoot),
        ("sub", nil, .malformed), ("sub", "7", .malformed), ("aud", "[\"machine:0123456789abcd\"]", .malformed), ("jti", nil, .malformed),
        ("jti", "\"x.1\"", .malformed), ("jti", "\"00000000000000ff.01\"", .malformed), ("jti", "\"00000000000000FF.1\"", .malformed),
        ("jti", "\"00000000000000ff.18446744073709551616\"", .malformed), ("exp", nil, .malformed), ("exp", "1e9", .malformed),
        ("exp", "1800000121", .malformed), ("exp", "1799999999", .malformed), ("exp", "9999999999999999999", .malformed),
        ("iat", "\"1800000000\"", .malformed), ("nbf", "1800000031", .notYetValid), ("nbf", "1800000030", nil),
    ]

    @Test(arguments: wrong)
    func wrongClaimsAreNamed(claim: String, value: String?, reason: HostedToken.Refusal?) throws {
        let door = try DoorFixture()
        #expect(door.refusal([try door.token(claims: door.claims([claim: value]))]) == reason)
    }

    @Test(arguments: [
        "{}", "[]", "", "null", "{\"iss\":\"a\",\"iss\":\"b\"}", "{\"a\":{\"b\":1}}", "{\"a\":1,}", "{\"a\":1} x", "{\"a\":\"\\ud800\"}",
    ])
    func payloadsThatAreNoClaimsAreMalformed(payload: String) throws {
        let door = try DoorFixture()
        #expect(door.refusal([try door.token(claims: payload)]) == .malformed)
    }

    @Test func unknownClaimsAndEscapesAreRead() throws {
        let door = try DoorFixture()
        let token = try door.token(claims: door.claims(["sub": "\"\\u0061l\\/\\ud83d\\ude00\""], extra: " , \"x\" : true, \"y\":-3"))
        #expect(try door.verifier.verify(headerValues: [token]).get().principal == "al/😀")
    }

    @Test func timesAreCheckedWithSkew() throws {
        let door = try DoorFixture()
        let issued = door.clock.now
        let minter = door.minter
        for (age, reason) in [(44, nil), (45, .expired), (200, .expired), (-30, nil), (-31, .notYetValid)] as [(Int64, HostedToken.Refusal?)] {
            door.clock.now = issued
            let token = try minter.mint(principal: "a", session: "s").token
            door.clock.now = issued + age
            #expect(door.refusal([token]) == reason, "age \(age)")
        }
    }

    @Test func anExpiredTokenIsNotEnteredInTheWindow() throws {
        let door = try DoorFixture()
        let token = try door.minter.mint(principal: "a", session: "s").token
        door.clock.now += 100
        #expect(door.refusal([token]) == .expired)
        door.clock.now -= 100
        #expect(door.refusal([token]) == nil)
    }

    @Test func twoGenerationsAreAcceptedWhileRotating() throws {
        let door = try DoorFixture()
        let generations = try (1...3).map {
            try DoorKeys(root: door.root, machine: DoorFixture.machine, boot: DoorFixture.boot, generation: $0)
        }
        let sender = TokenSender(id: 9)
        func refusal(_ generation: Int) throws -> HostedToken.Refusal? {
            let minter = try sender.minter(for: generations[generation - 1], org: DoorFixture.org)
            // The sender's own clock is the wall's; only the key decides here.
            door.clock.now = WallClock.seconds()
            return door.refusal([try minter.mint(principal: "a", session: "s").token])
        }
        #expect(try refusal(1) == nil)
        #expect(try refusal(2) == .unknownKey)
        try door.verifier.accept(generations[1])
        #expect(try refusal(2) == nil)
        #expect(try refusal(1) == nil)
        try door.verifier.accept(generations[2])
        #expect(try refusal(1) == .unknownKey)
        #expect(try refusal(2) == nil)
        #expect(try refusal(3) == nil)
        #expect(door.verifier.newest?.generation == 3)
    }

    @Test func anAppsTokenNeedsTheAppsKeysAndAShortLife() throws {
        let door = try DoorFixture()
        let keys = try DoorKeys(root: door.root, app: "weather")
        let token = try door.minter(sender: 3, keys: keys).mint(principal: "a", session: "s").token
        #expect(door.refusal([token]) == .badSignature, "a stateful machine never takes one")
        try door.verifier.accept(keys)
        #expect(door.refusal([token]) == nil)
        #expect(door.refusal([try door.minter.mint(principal: "a", session: "s").token]) == nil)
        let claims: [String: String?] = ["aud": "\"app:weather\"", "bid": nil]
        let early = door.claims(claims.merging(["iat": "1799999999", "exp": "1800000010"]) { $1 })
        #expect(door.refusal([try door.token(claims: early, key: keys.sign)]) == .wrongBoot)
        let long = door.claims(claims.merging(["exp": "1800000016"]) { $1 })
        #expect(door.refusal([try door.token(claims: long, key: keys.sign)]) == .malformed)
        // A sender counts for each of its audiences: the same number is no replay.
        let (own, apps) = (try door.minter(sender: 4), try door.minter(sender: 4, keys: keys))
        for minter in [own, apps] {
            let token = try minter.mint(principal: "a", session: "s").token
            #expect(door.refusal([token]) == nil)
            #expect(door.refusal([token]) == .replayed)
        }
        // The app's key does not speak for the machine, nor the machine's for the app.
        #expect(door.refusal([try door.token(claims: door.claims(), key: keys.sign)]) == .wrongAudience)
        #expect(door.refusal([try door.token(claims: door.claims(claims))]) == .wrongAudience)
    }

    @Test func bothEndsDeriveTheSameKeysAndNoTwoBootsShareThem() throws {
        let master = Secret(try randomBytes(32))
        let root = try AppRoot.derive(master: master, org: "o", app: "a")
        let handed = try AppRoot(secret: Secret(root.secret.copy))
        #expect(handed.id == root.id)
        let one = try DoorKeys(root: root, machine: "m", boot: "b")
        let two = try DoorKeys(root: handed, machine: "m", boot: "b")
        #expect(one.kid == two.kid && one.sign == two.sign && one.seal == two.seal)
        #expect(one.sign != one.seal)
        for other in [
            try DoorKeys(root: root, machine: "mb", boot: ""), try DoorKeys(root: root, machine: "m", boot: "c"),
            try DoorKeys(root: root, machine: "m", boot: "b", generation: 2), try DoorKeys(root: root, app: "m"),
        ] {
            #expect(other.sign != one.sign && other.seal != one.seal)
        }
        #expect(try AppRoot.derive(master: master, org: "oa", app: "").secret != root.secret)
        #expect(throws: SealingError.size) { try AppRoot(secret: Secret([1])) }
    }

    @Test func mintingIsCheap() throws {
        let door = try DoorFixture()
        let clock = ContinuousClock()
        let count = 20_000
        let spent = try clock.measure {
            for _ in 0..<count { try door.minter.mint(principal: "alice@example.org", session: "0123456789abcdef") { _ in } }
        }
        // A debug build under load: the bound only catches a context made per call or worse.
        #expect(spent < .seconds(10))
    }
}
