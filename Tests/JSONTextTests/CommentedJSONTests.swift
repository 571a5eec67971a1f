import Testing

@testable import JSONText

@Suite struct CommentedJSONTests {
    private func plain(_ text: String) -> String { String(decoding: CommentedJSON.plain(Array(text.utf8)), as: UTF8.self) }

    /// What is no comment stays, for whoever reads it to find.
    @Test(arguments: [
        ("{/*a*/} /* b /* c", "{     } /* b /* c"), ("/* /*/ {}", "       {}"), ("/* \"a\" // b\n1", "/* \"a\" // b\n1"),
        ("/", "/"), ("/*", "/*"), ("/*/", "/*/"),
    ]) func aCommentWithoutAnEndIsNone(text: String, result: String) {
        #expect(plain(text) == result)
    }

    /// A file that begins comments for ever is looked through once.
    @Test func manyCommentsWithoutAnEndCostOneLook() {
        let text = "{}" + String(repeating: " /*", count: 100_000)
        let start = ContinuousClock.now
        #expect(plain(text) == text)
        // To the end for each of them, that would be 15 thousand million bytes.
        #expect(ContinuousClock.now - start < .seconds(60))
    }
}
