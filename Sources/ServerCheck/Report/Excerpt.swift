/// Words of others that are too long for a line.
enum Excerpt {
    /// Their beginning. Whatever is cut here ends in an ellipsis: by that `SecretMask` knows where a value may have been halved.
    static func of(_ text: some StringProtocol, _ limit: Int) -> String {
        let scalars = text.unicodeScalars
        guard let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex), end < scalars.endIndex else {
            return String(text)
        }
        return String(String.UnicodeScalarView(scalars.prefix(limit - 1))) + "…"
    }
}
