/// What a name and a version of a package may be in a bill of materials; what packages say of themselves is text of strangers.
enum PartName {
    static func isName(_ text: some StringProtocol) -> Bool { isPlain(text, limit: 214, besides: "._-+@/~") }

    static func isVersion(_ text: some StringProtocol) -> Bool { isPlain(text, limit: 128, besides: "._-+!~:*") }

    private static func isPlain(_ text: some StringProtocol, limit: Int, besides: String) -> Bool {
        !text.isEmpty && text.utf8.count <= limit && text.utf8.allSatisfy { $0.isASCIILetterOrDigit || besides.utf8.contains($0) }
    }
}
