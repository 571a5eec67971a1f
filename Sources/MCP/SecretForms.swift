import JSONText

/// A secret as a server may repeat it: as it is, in a JSON string, in base64, in a URL.
public enum SecretForms {
    /// Shorter ones would be found by chance inside another text's base64.
    private static let shortestInside = 8

    /// The texts to look for; some may be the same.
    public static func all(of value: String) -> [String] {
        let encoded = ["", "/"].flatMap { kept in ["0123456789ABCDEF", "0123456789abcdef"].map { inURL(value, digits: Array($0), kept: kept) } }
        return [value, inJSON(value)] + encoded + inBase64(value)
    }

    private static func inJSON(_ value: String) -> String {
        var bytes: [UInt8] = []
        JSONString.appendContent(value, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// - Parameter kept: what this encoder leaves as it is, beside what all do: some take a value for a path.
    private static func inURL(_ value: String, digits: [Character], kept: String) -> String {
        value.utf8.reduce(into: "") { text, byte in
            let isPlain = (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte) || ("-._~" + kept).utf8.contains(byte)
            if isPlain {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            }
        }
    }

    /// Of a text that holds it: at each of three places in a group its middle has a form of its own, and so again in a URL's alphabet.
    private static func inBase64(_ value: String) -> [String] {
        let bytes = Array(value.utf8)
        let forms = (0..<(bytes.count < shortestInside ? 1 : 3)).map { before in
            let text = Base64.encode([UInt8](repeating: 0, count: before) + bytes).utf8
            // A character at an edge holds bits of what stands beside it.
            let (first, end) = ((before * 8 + 5) / 6, (before + bytes.count) * 8 / 6)
            return String(decoding: text.dropFirst(first).prefix(end - first), as: UTF8.self)
        }
        return forms + forms.map { String($0.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }) }
    }
}
