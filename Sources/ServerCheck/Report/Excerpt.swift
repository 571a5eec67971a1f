/// Words of others that are too long for a line.
enum Excerpt {
    /// Their beginning, to the end of a word where one ends in its second half. Whatever is cut here ends in an ellipsis:
    /// by that `SecretMask` knows where a value may have been halved.
    static func of(_ text: some StringProtocol, _ limit: Int) -> String {
        let scalars = text.unicodeScalars
        guard let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex), end < scalars.endIndex else {
            return String(text)
        }
        let head = scalars.prefix(limit - 1)
        let isBlank: (Unicode.Scalar) -> Bool = { $0.properties.isWhitespace }
        guard !isBlank(scalars[head.endIndex]), let blank = head.lastIndex(where: isBlank),
            scalars.distance(from: head.startIndex, to: blank) >= limit / 2
        else { return String(String.UnicodeScalarView(head)) + "…" }
        return String(String.UnicodeScalarView(head[..<blank])) + "…"
    }
}
