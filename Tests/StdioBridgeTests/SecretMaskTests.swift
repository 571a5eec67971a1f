import Testing

@testable import StdioBridge

struct SecretMaskTests {
    private let secret = "s3cret-VALUE-0123456789"

    /// Wherever a text is cut, nothing of a secret stands before the cut: masked ones before it make the rest move up.
    @Test(arguments: [20, 64, 200]) func noCutShowsHalfASecret(_ limit: Int) {
        let mask = SecretMask(values: [secret])
        let text = Array(String(repeating: secret + ".", count: 40).utf8)
        for start in 0..<secret.utf8.count {
            // The text itself ends with a whole one.
            for end in stride(from: secret.utf8.count + 1, through: text.count, by: secret.utf8.count + 1) {
                let head = mask.head(of: text[start..<end], limit: limit)
                // The first one's end is another text: only the cut at the end is ours.
                let shown = String(decoding: head.bytes.drop { $0 != 0x2A && start > 0 }, as: UTF8.self)
                #expect(head.bytes.count <= limit)
                guard head.isCut else { continue }
                #expect(!shown.contains("s3c"), "\(limit) of \(start)..<\(end): \(shown)")
            }
        }
    }

    @Test(arguments: [
        ("a s3cret-VALUE-0123456789 b", "a *** b"), ("a s3cret-VAL… b", "a ***… b"), ("s3cr…", "***…"), ("a s3c…", "a s3c…"), ("… é", "… é"),
        ("x s3cret-VALUE-0123456789…", "x ***…"), ("s3cret-VAL and …", "s3cret-VAL and …"),
    ]) func whatIsCutAtAnEllipsisIsMaskedToo(_ text: String, _ masked: String) {
        #expect(SecretMask(values: [secret]).masked(text) == masked)
        #expect(SecretMask().masked(text) == text)
    }

    @Test func whatIsShortIsWhole() {
        let mask = SecretMask(values: [secret])
        let (bytes, isCut) = mask.head(of: Array("a \(secret) b".utf8), limit: 7)
        #expect(String(decoding: bytes, as: UTF8.self) == "a *** b" && !isCut)
        #expect(mask.head(of: Array("12345678".utf8), limit: 7).isCut)
        #expect(mask.head(of: [UInt8](), limit: 7).bytes.isEmpty)
    }
}
