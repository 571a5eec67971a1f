import Testing

@testable import Sealing

@Suite("sealing")
struct SealingTests {
    @Test(arguments: [0, 1, 15, 16, 17, 512, 70_000])
    func aChangedByteAnywhereDoesNotOpen(count: Int) throws {
        let key = try AEADKey(Secret(try randomBytes(32)))
        let plaintext = try randomBytes(count)
        let sealed = try key.seal(plaintext, aad: Array("row 1".utf8))
        #expect(sealed.count == count + AEADKey.overhead)
        #expect(try key.open(sealed, aad: Array("row 1".utf8)) == plaintext)
        #expect(throws: SealingError.authentication) { try key.open(sealed, aad: Array("row 2".utf8)) }
        for index in [0, 11, 12, sealed.count - 17, sealed.count - 16, sealed.count - 1] {
            var changed = sealed
            changed[index] ^= 0x80
            #expect(throws: SealingError.authentication) { try key.open(changed, aad: Array("row 1".utf8)) }
        }
        let other = try AEADKey(Secret(try randomBytes(32)))
        #expect(throws: SealingError.authentication) { try other.open(sealed, aad: Array("row 1".utf8)) }
        // A failure leaves the key usable.
        #expect(try key.open(sealed, aad: Array("row 1".utf8)) == plaintext)
    }

    @Test func tooShortIsMalformed() throws {
        let key = try AEADKey(Secret(try randomBytes(32)))
        #expect(throws: SealingError.malformed) { try key.open([UInt8](repeating: 0, count: 27), aad: []) }
        #expect(throws: SealingError.size) { try AEADKey(Secret([1, 2, 3])) }
    }

    @Test func twoSealsOfOneValueDiffer() throws {
        let key = try AEADKey(Secret(try randomBytes(32)))
        #expect(try key.seal([1, 2, 3], aad: []) != key.seal([1, 2, 3], aad: []))
    }

    @Test func aSecretNeverPrints() {
        let secret = Secret(Array("hunter2".utf8))
        #expect("\(secret)" == "Secret(7 bytes)")
        #expect(String(reflecting: secret) == "Secret(7 bytes)")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!dumped.contains("hunter2"))
        #expect(secret == Secret(Array("hunter2".utf8)))
        #expect(secret != Secret(Array("hunter3".utf8)))
        #expect(secret != Secret([]))
    }

    @Test(arguments: 0...66)
    func base64URLRoundTrips(count: Int) throws {
        let bytes = try randomBytes(count)
        let text = Base64URL.encode(bytes)
        #expect(text.utf8.count == Base64URL.encodedCount(count))
        #expect(Base64URL.decode(text) == bytes)
        #expect(Hex.decode(Hex.encode(bytes)) == bytes)
    }

    @Test func base64URLMatchesRFC4648() {
        for (plain, text) in [("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"), ("foobar", "Zm9vYmFy")] {
            #expect(Base64URL.encode(Array(plain.utf8)) == text)
            #expect(Base64URL.decode(text) == Array(plain.utf8))
        }
        #expect(Base64URL.encode([0xFB, 0xFF]) == "-_8")
    }

    @Test(arguments: ["Zg==", "Zm9v=", "Zh", "Zm9", "Z", "Zm+v", "Zm/v", "Zm 9v", "Zm9v\n", "Zm9vé"])
    func base64URLRefusesEveryOtherForm(text: String) {
        #expect(Base64URL.decode(text) == nil)
    }

    @Test func ulidsSortByTimeAndParse() throws {
        let early = ULID(milliseconds: 1_469_918_176_385)
        #expect(early.description.hasPrefix("01ARYZ6S41"))
        #expect(early.description.utf8.count == 26)
        #expect(early.description < ULID(milliseconds: 1_469_918_176_386).description)
        #expect(ULID(early.description) == early)
        #expect(Set((0..<1_000).map { _ in ULID(milliseconds: 1).description }).count == 1_000)
        for text in ["", "01ARYZ6S41", early.description.lowercased(), "8" + early.description.dropFirst(), early.description + "0"] {
            #expect(ULID(text) == nil)
        }
    }

    @Test func constantTimeComparison() {
        #expect(constantTimeEquals([], []))
        #expect(constantTimeEquals([1, 2], [1, 2]))
        #expect(!constantTimeEquals([1, 2], [1, 3]))
        #expect(!constantTimeEquals([1, 2], [1, 2, 3]))
    }
}
