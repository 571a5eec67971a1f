import Glibc
import JSONText
import MCP

/// Makes the text of a payload that may be kept: values under telling keys and known secret values are replaced, what is
/// longer than 8 KiB is cut. One pass that stops at the bound, so a huge payload costs no more than a small one.
public struct AuditRedactor: Sendable {
    /// Bytes of a payload's text at most.
    public static let limit = 8_192
    /// What stands for a value.
    public static let mark = "[redacted]"

    /// Key names that tell a secret, lower case and without `-` and `_`.
    private static let tellingKeys = ["password", "passwd", "secret", "token", "apikey", "authorization", "cookie", "credential"].map {
        Array($0.utf8)
    }

    /// Secrets as they look inside a JSON string; longest first, so that none hides in another.
    private let literals: [[UInt8]]
    /// The same as they are.
    private let plainLiterals: [[UInt8]]

    /// - Parameter literals: secret values to mask wherever they stand, in base64 and URL-coded too. Shorter than four bytes they are
    ///   ignored: they would take the log apart and hide nothing.
    public init(literals: [String] = []) {
        let literals = Set(literals.filter { $0.utf8.count >= 4 }.flatMap(SecretForms.all))
        plainLiterals = literals.map { Array($0.utf8) }.sorted { $0.count > $1.count }
        self.literals = literals.map { literal in
            var escaped: [UInt8] = []
            JSONString.appendContent(literal, to: &escaped)
            return escaped
        }.sorted { $0.count > $1.count }
    }

    /// The text to keep of a JSON value.
    public func redact(_ json: UnsafeRawBufferPointer) -> AuditText {
        // A secret that begins before the cut must be seen whole to be masked.
        var walker = Walker(input: json, bound: Self.limit + (literals.first?.count ?? 0))
        let complete = walker.run()
        var output = walker.output
        for literal in literals { Self.mask(literal, in: &output) }
        let truncated = !complete || output.count > Self.limit
        if output.count > Self.limit {
            var end = Self.limit
            while end > 0, output[end] & 0xC0 == 0x80 { end -= 1 }
            output.removeSubrange(end...)
        }
        return AuditText(text: String(decoding: output, as: UTF8.self), truncated: truncated)
    }

    /// Text that is no JSON, such as a message of a server, with known secrets masked and cut to so many bytes.
    public func redact(line text: String, limit: Int) -> String {
        // A secret that begins before the cut must be seen whole to be masked.
        var output = Array(text.utf8.prefix(limit + (plainLiterals.first?.count ?? 0)))
        for literal in plainLiterals { Self.mask(literal, in: &output) }
        return AuditRow.bounded(output, to: limit)
    }

    private static func mask(_ literal: [UInt8], in output: inout [UInt8]) {
        var from = 0
        var masked: [UInt8]?
        output.withUnsafeBytes { bytes in
            while let at = find(literal, bytes, from) {
                var so = masked ?? []
                so.append(contentsOf: bytes[from..<at])
                so.append(contentsOf: mark.utf8)
                masked = so
                from = at + literal.count
            }
            masked?.append(contentsOf: bytes[from...])
        }
        if let masked { output = masked }
    }

    private static func find(_ literal: [UInt8], _ bytes: UnsafeRawBufferPointer, _ from: Int) -> Int? {
        guard let start = bytes.baseAddress, let first = literal.first else { return nil }
        var at = from
        while at + literal.count <= bytes.count, let hit = memchr(start + at, Int32(first), bytes.count - literal.count - at + 1) {
            at = UnsafeRawPointer(hit) - start
            if memcmp(hit, literal, literal.count) == 0 { return at }
            at += 1
        }
        return nil
    }

    static func isTelling(_ key: some Sequence<UInt8>) -> Bool {
        var plain: [UInt8] = []
        for byte in key where byte != UInt8(ascii: "-") && byte != UInt8(ascii: "_") {
            plain.append(byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte)
        }
        return tellingKeys.contains { telling in
            plain.count >= telling.count && (0...(plain.count - telling.count)).contains { plain[$0...].starts(with: telling) }
        }
    }
}

extension AuditRedactor {
    /// Copies JSON without its white space, escapes made uniform, values of telling keys left out. Lenient: what is no
    /// JSON is copied as far as it can be read, because it is a record and not a message.
    private struct Walker {
        let input: UnsafeRawBufferPointer
        let bound: Int
        var at = 0
        var output: [UInt8] = []
        /// Whether each open container is an object.
        private var open: [Bool] = []
        private var expectsKey = false

        init(input: UnsafeRawBufferPointer, bound: Int) {
            self.input = input
            self.bound = bound
            output.reserveCapacity(min(input.count, bound) + 64)
        }

        /// Whether the whole input was read.
        mutating func run() -> Bool {
            while at < input.count {
                guard output.count <= bound else { return false }
                let byte = input[at]
                switch byte {
                case 0x20, 0x09, 0x0A, 0x0D: at += 1
                case UInt8(ascii: "\""): string()
                default:
                    at += 1
                    output.append(byte)
                    switch byte {
                    case UInt8(ascii: "{"), UInt8(ascii: "["):
                        open.append(byte == UInt8(ascii: "{"))
                        expectsKey = byte == UInt8(ascii: "{")
                    case UInt8(ascii: "}"), UInt8(ascii: "]"):
                        _ = open.popLast()
                        expectsKey = false
                    case UInt8(ascii: ","): expectsKey = open.last == true
                    default: break
                    }
                }
            }
            return true
        }

        private mutating func string() {
            let start = at + 1
            // A string longer than the bound is cut anyway: its end is not looked for. Escapes take up to six bytes for one, and
            // one cut too early would let the walk go on inside the string.
            var end = stringEnd(from: start, within: bound + 2)
            if end.escapes, end.content - start >= bound + 2 { end = stringEnd(from: start, within: 6 * (bound + 2)) }
            let isKey = expectsKey
            expectsKey = false
            output.append(UInt8(ascii: "\""))
            let content = UnsafeRawBufferPointer(rebasing: input[start..<end.content])
            if end.escapes {
                let text = String(decoding: JSONString.unescaped(0..<content.count, in: content.bytes), as: UTF8.self)
                if isKey, AuditRedactor.isTelling(text.utf8) { return telling(text, end.next) }
                JSONString.appendContent(text, to: &output)
            } else if isKey, AuditRedactor.isTelling(content) {
                return telling(String(decoding: content, as: UTF8.self), end.next)
            } else {
                output.append(contentsOf: content.prefix(bound + 1 - min(output.count, bound)))
            }
            output.append(UInt8(ascii: "\""))
            at = end.next
        }

        /// Copies a telling key and passes over its value.
        private mutating func telling(_ key: String, _ next: Int) {
            JSONString.appendContent(key, to: &output)
            at = next
            skipSpace()
            guard at < input.count, input[at] == UInt8(ascii: ":") else { return output.append(UInt8(ascii: "\"")) }
            at += 1
            skipSpace()
            skipValue()
            output.append(contentsOf: "\":\"\(AuditRedactor.mark)\"".utf8)
        }

        private mutating func skipSpace() {
            while at < input.count, input[at] == 0x20 || input[at] == 0x09 || input[at] == 0x0A || input[at] == 0x0D { at += 1 }
        }

        private mutating func skipValue() {
            var depth = 0
            while at < input.count {
                switch input[at] {
                case UInt8(ascii: "\""): at = stringEnd(from: at + 1).next
                case UInt8(ascii: "{"), UInt8(ascii: "["):
                    depth += 1
                    at += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"):
                    // The end of the container around a scalar belongs to the walk.
                    guard depth > 0 else { return }
                    depth -= 1
                    at += 1
                case UInt8(ascii: ","):
                    guard depth > 0 else { return }
                    at += 1
                    continue
                default:
                    at += 1
                    continue
                }
                if depth == 0 { return }
            }
        }

        /// Where the string that begins at `start` ends.
        private func stringEnd(from start: Int, within limit: Int = .max) -> (content: Int, next: Int, escapes: Bool) {
            let count = limit < input.count - start ? start + limit : input.count
            var index = start
            var escapes = false
            while index < count {
                switch input[index] {
                case UInt8(ascii: "\""): return (index, index + 1, escapes)
                case UInt8(ascii: "\\"):
                    escapes = true
                    index += 2
                default: index += 1
                }
            }
            return (count, count, escapes)
        }
    }
}
