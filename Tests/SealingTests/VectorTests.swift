import Testing

@testable import Sealing

private func bytes(_ hex: String) throws -> [UInt8] { try #require(Hex.decode(hex)) }

@Suite("published vectors")
struct VectorTests {
    /// RFC 4231 §4: key, data, tag.
    static let hmac: [(String, String, String)] = [
        (String(repeating: "0b", count: 20), "4869205468657265", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        ("4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            String(repeating: "aa", count: 20), String(repeating: "dd", count: 50),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        ),
        (
            String(repeating: "aa", count: 131),
            "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
    ]

    @Test(arguments: hmac)
    func hmacMatchesRFC4231(key: String, data: String, tag: String) throws {
        let mac = try HMACKey(Secret(try bytes(key)))
        let message = try bytes(data)
        // Twice: the reused context must start afresh.
        #expect(Hex.encode(try mac.tag(of: message)) == tag)
        #expect(Hex.encode(try mac.tag(of: message)) == tag)
        let valid = try bytes(tag)
        for flip in [0, 13, 31] {
            var wrong = valid
            wrong[flip] ^= 1
            #expect(!wrong.withUnsafeBytes { w in message.withUnsafeBytes { mac.isValid(tag: w, of: $0) } })
        }
        #expect(valid.withUnsafeBytes { t in message.withUnsafeBytes { mac.isValid(tag: t, of: $0) } })
        #expect(!valid.dropLast().withUnsafeBytes { t in message.withUnsafeBytes { mac.isValid(tag: t, of: $0) } })
    }

    @Test func hmacOfNothing() throws {
        let mac = try HMACKey(Secret(Array("key".utf8)))
        #expect(Hex.encode(try mac.tag(of: [])) == "5d5d139563c95b5967b9bd9a8c9b233a9dedb45072794cd232dc1b74832607d0")
    }

    @Test func hkdfMatchesRFC5869() throws {
        let first = try hkdf(
            Secret(try bytes(String(repeating: "0b", count: 22))), salt: try bytes("000102030405060708090a0b0c"),
            info: try bytes("f0f1f2f3f4f5f6f7f8f9"), count: 42)
        #expect(Hex.encode(first.copy) == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
        let third = try hkdf(Secret(try bytes(String(repeating: "0b", count: 22))), info: [], count: 42)
        #expect(Hex.encode(third.copy) == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
        #expect(throws: SealingError.size) { try hkdf(Secret([1]), info: [], count: 255 * 32 + 1) }
    }

    /// The GCM specification's cases 13, 14 and 16: key, nonce, plaintext, AAD, ciphertext and tag.
    static let gcm: [[String]] = [
        [String(repeating: "00", count: 32), String(repeating: "00", count: 12), "", "", "530f8afbc74536b9a963b4f1c4cb738b"],
        [
            String(repeating: "00", count: 32), String(repeating: "00", count: 12), String(repeating: "00", count: 16), "",
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ],
        [
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                + "76fc6ece0f4e1768cddf8853bb2d551b",
        ],
    ]

    @Test(arguments: gcm)
    func aeadMatchesTheSpecification(vector: [String]) throws {
        let key = try AEADKey(Secret(try bytes(vector[0])))
        let nonce = try bytes(vector[1])
        let sealed = try key.seal(try bytes(vector[2]), aad: try bytes(vector[3]), nonce: nonce)
        #expect(Hex.encode(sealed) == vector[1] + vector[4])
        #expect(try key.open(sealed, aad: try bytes(vector[3])) == (try bytes(vector[2])))
    }

    @Test func sha256MatchesFIPS180() throws {
        #expect(try SHA256.hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(try SHA256.hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        let hash = try SHA256()
        for _ in 0..<3 {
            try hash.update(Array("a".utf8))
            try hash.update(Array("bc".utf8))
            #expect(Hex.encode(try hash.finish()) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        }
        #expect(Hex.encode(try hash.finish()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }
}
