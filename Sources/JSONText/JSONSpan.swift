/// A half-open range of byte offsets into the JSON text it was found in.
///
/// Spans are how a message is rewritten without being decoded: the scanner says where a value lies, `Splice` replaces it.
public struct JSONSpan: Hashable, Sendable {
    public var start: Int
    public var end: Int

    public init(start: Int, end: Int) {
        self.start = start
        self.end = end
    }

    public init(_ range: Range<Int>) {
        self.init(start: range.lowerBound, end: range.upperBound)
    }

    public var count: Int { end - start }
    public var isEmpty: Bool { end <= start }
    public var range: Range<Int> { start..<end }
}

extension RawSpan {
    /// The byte at `offset`, bounds-checked.
    @inline(__always)
    func byte(_ offset: Int) -> UInt8 {
        unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// Whether the bytes of `range` are exactly `text`.
    func matches(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        var offset = range.lowerBound
        let expected = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        for code in expected {
            if byte(offset) != code { return false }
            offset += 1
        }
        return true
    }

    /// Whether the bytes of `range` begin with `prefix`.
    func starts(_ range: Range<Int>, with prefix: StaticString) -> Bool {
        let count = prefix.utf8CodeUnitCount
        return range.count >= count && matches(range.lowerBound..<(range.lowerBound + count), prefix)
    }

    /// A copy of the bytes in `span`.
    public func copy(_ span: JSONSpan) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: span.count) { target, count in
            extracting(span.range).withUnsafeBytes { source in
                UnsafeMutableRawBufferPointer(target).copyMemory(from: source)
            }
            count = span.count
        }
    }
}
