import NIOCore

/// The header fields of one head: spans into the bytes that arrived, so that parsing copies nothing and a lookup
/// allocates nothing. Repeated fields stay apart and can be counted.
public struct HTTPFields: Sendable {
    /// Offsets relative to the reader index of `bytes`.
    struct Span: Sendable {
        var name: UInt32
        var nameLength: UInt32
        var value: UInt32
        var valueLength: UInt32
    }

    let bytes: ByteBuffer
    let spans: [Span]

    init(bytes: ByteBuffer, spans: [Span]) {
        self.bytes = bytes
        self.spans = spans
    }

    /// How many fields there are, repeated ones counted each.
    public var count: Int { spans.count }

    /// The first value of the field, compared case-insensitively.
    public subscript(_ name: String) -> String? {
        withValue(of: name) { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether the field is there.
    public func contains(_ name: String) -> Bool {
        withValue(of: name) { _ in true } ?? false
    }

    /// How often the field is there.
    public func count(of name: String) -> Int {
        var count = 0
        forEachValue(of: name) { _ in count += 1 }
        return count
    }

    /// Every value of the field, in order.
    public func values(of name: String) -> [String] {
        var values: [String] = []
        forEachValue(of: name) { values.append(String(decoding: $0, as: UTF8.self)) }
        return values
    }

    /// The bytes of the first value; valid only during the call.
    public func withValue<R>(of name: String, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R? {
        try bytes.withUnsafeReadableBytes { all in
            for span in spans where Self.matches(all, span, name) {
                return try body(Self.value(all, span))
            }
            return nil
        }
    }

    /// Calls `body` with the bytes of every value of the field, in order.
    public func forEachValue(of name: String, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        try bytes.withUnsafeReadableBytes { all in
            for span in spans where Self.matches(all, span, name) {
                try body(Self.value(all, span))
            }
        }
    }

    /// The first value as a slice that shares the head's storage.
    public func slice(of name: String) -> ByteBuffer? {
        let span = bytes.withUnsafeReadableBytes { all in spans.first { Self.matches(all, $0, name) } }
        return span.flatMap { bytes.getSlice(at: bytes.readerIndex + Int($0.value), length: Int($0.valueLength)) }
    }

    /// Whether a comma-separated list field names `token`, in any of its values and in any letter case.
    public func hasToken(_ token: String, in name: String) -> Bool {
        var found = false
        forEachValue(of: name) { value in
            for part in value.split(separator: UInt8(ascii: ",")) where !found {
                found = ASCII.equal(ASCII.trim(UnsafeRawBufferPointer(rebasing: part)), token)
            }
        }
        return found
    }

    /// Whether `name` is a token (RFC 9110 §5.6.2).
    public static func isValidName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy(ASCII.isToken)
    }

    /// Whether `value` may stand in a field: no control byte beside the tab.
    public static func isValidValue(_ value: String) -> Bool {
        ASCII.areFieldValue(value.utf8)
    }

    private static func matches(_ all: UnsafeRawBufferPointer, _ span: Span, _ name: String) -> Bool {
        guard Int(span.nameLength) == name.utf8.count else { return false }
        let start = Int(span.name)
        return ASCII.equal(UnsafeRawBufferPointer(rebasing: all[start..<start + Int(span.nameLength)]), name)
    }

    private static func value(_ all: UnsafeRawBufferPointer, _ span: Span) -> UnsafeRawBufferPointer {
        let start = Int(span.value)
        return UnsafeRawBufferPointer(rebasing: all[start..<start + Int(span.valueLength)])
    }
}

extension HTTPFields: Sequence {
    /// Names as they were written, with their values.
    public func makeIterator() -> AnyIterator<(name: String, value: String)> {
        var index = 0
        return AnyIterator {
            guard index < spans.count else { return nil }
            let span = spans[index]
            index += 1
            return bytes.withUnsafeReadableBytes { all in
                let name = all[Int(span.name)..<Int(span.name + span.nameLength)]
                return (String(decoding: name, as: UTF8.self), String(decoding: Self.value(all, span), as: UTF8.self))
            }
        }
    }
}
