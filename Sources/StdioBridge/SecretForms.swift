import JSONText

/// A secret as a server may repeat it: as it is, in a JSON string, in base64, in a URL.
enum SecretForms {
    static func all(of values: [String]) -> [String] {
        var forms: [String] = []
        for value in values where value.utf8.count >= 4 {
            forms += [value, inJSON(value), base64(value), inURL(value)]
        }
        return forms
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

    /// Without padding, which another text may follow.
    private static func base64(_ value: String) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        let bytes = Array(value.utf8)
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.enumerated().reduce(0) { $0 | Int($1.element) << (16 - 8 * $1.offset) }
            for position in 0...group.count { text.append(alphabet[bits >> (18 - 6 * position) & 63]) }
        }
        return text
    }
}
