import JSONText
import MCP

/// A secret as a server may repeat it: as it is, in a JSON string, in base64, in a URL.
enum SecretForms {
    /// Shorter ones would be found by chance inside another text's base64.
    private static let shortestInside = 8

    static func all(of value: String) -> [String] {
        [value, inJSON(value), inURL(value)] + inBase64(value)
    }

    private static func inJSON(_ value: String) -> String {
        var bytes: [UInt8] = []
        JSONString.appendContent(value, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func inURL(_ value: String) -> String {
        let digits = Array("0123456789ABCDEF")
        return value.utf8.reduce(into: "") { text, byte in
            let isPlain = (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte) || "-._~".utf8.contains(byte)
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
