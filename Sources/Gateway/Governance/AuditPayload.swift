import JSONText
import NIOCore

/// What of a payload goes into the audit log: secrets masked, then cut.
enum AuditPayload {
    static let limit = 8 << 10
    /// Longer texts are not parsed for their members.
    private static let parseLimit = 256 << 10
    private static let mask = "[redacted]"
    /// Parts of a member's name (without `-` and `_`, in lower case) that say its value is a secret.
    private static let words = ["password", "passwd", "secret", "token", "apikey", "authorization", "credential", "privatekey", "cookie"]

    /// - Parameter secrets: values known to be secret, wherever they stand.
    static func text(_ payload: ByteBuffer, secrets: [String] = []) -> AuditText {
        guard payload.readableBytes <= parseLimit else {
            let start = payload.getSlice(at: payload.readerIndex, length: limit) ?? ByteBuffer()
            // Half a text cannot be searched for members; the whole is too long to be.
            guard !mentionsSecret(start) else { return AuditText(text: "", truncated: true) }
            return cut(masked(String(buffer: start), secrets), wasLonger: true)
        }
        var text = String(buffer: payload)
        if mentionsSecret(payload), let value = try? JSONValue(parsing: payload.readableBytesSpan) { text = redacted(value).text }
        return cut(masked(text, secrets), wasLonger: false)
    }

    private static func redacted(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let object):
            .object(JSONObject(object.members.map { ($0.key, isSecret($0.key) ? .string(mask) : redacted($0.value)) }))
        case .array(let elements): .array(elements.map(redacted))
        default: value
        }
    }

    private static func isSecret(_ name: String) -> Bool {
        let name = name.lowercased().filter { $0 != "_" && $0 != "-" }
        // A cursor, a count or a limit of tokens is none.
        return words.contains { name.hasSuffix($0) || name.hasSuffix($0 + "s") && $0 != "token" }
    }

    /// Whether one of the words stands anywhere: a cheap look before the costly one.
    private static func mentionsSecret(_ payload: ByteBuffer) -> Bool {
        payload.withUnsafeReadableBytes { bytes in
            for (index, byte) in bytes.enumerated() {
                // Every word has one of these as its first letter.
                switch byte | 0x20 {
                case UInt8(ascii: "p"), UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "a"), UInt8(ascii: "c"):
                    if words.contains(where: { stands($0, at: index, in: bytes) }) { return true }
                default: continue
                }
            }
            return false
        }
    }

    private static func stands(_ word: String, at start: Int, in bytes: UnsafeRawBufferPointer) -> Bool {
        var index = start
        for expected in word.utf8 {
            while index < bytes.count, bytes[index] == UInt8(ascii: "_") || bytes[index] == UInt8(ascii: "-") { index += 1 }
            guard index < bytes.count, bytes[index] | 0x20 == expected else { return false }
            index += 1
        }
        return true
    }

    private static func masked(_ text: String, _ secrets: [String]) -> String {
        var text = text
        // The longest first: one secret may be part of another.
        for secret in secrets.sorted(by: { $0.utf8.count > $1.utf8.count }) where secret.utf8.count >= 4 {
            let quoted = String(decoding: JSONString.quote(secret).dropFirst().dropLast(), as: UTF8.self)
            text = replacing(quoted, in: text)
        }
        return text
    }

    private static func replacing(_ secret: String, in text: String) -> String {
        let pattern = Array(secret.utf8)
        let bytes = Array(text.utf8)
        guard !pattern.isEmpty, bytes.count >= pattern.count else { return text }
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var index = 0
        var found = false
        while index < bytes.count {
            if bytes[index] == pattern[0], bytes.count - index >= pattern.count, bytes[index..<(index + pattern.count)].elementsEqual(pattern) {
                out += mask.utf8
                index += pattern.count
                found = true
            } else {
                out.append(bytes[index])
                index += 1
            }
        }
        return found ? String(decoding: out, as: UTF8.self) : text
    }

    private static func cut(_ text: String, wasLonger: Bool) -> AuditText {
        guard text.utf8.count > limit else { return AuditText(text: text, truncated: wasLonger) }
        var end = text.utf8.index(text.utf8.startIndex, offsetBy: limit)
        // Never inside a character.
        while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return AuditText(text: String(text[..<end]), truncated: true)
    }
}
