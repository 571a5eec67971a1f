/// Edits on a text, applied in one pass: replace, insert and remove byte ranges, copy everything else as it is.
///
/// Edits must not overlap. Their order of adding does not matter, except that insertions at one place keep it.
public struct Splice: Sendable {
    private struct Edit {
        var start: Int
        var end: Int
        var bytes: [UInt8]
    }

    private var edits: [Edit] = []

    public init() {}

    public var isEmpty: Bool { edits.isEmpty }

    public mutating func replace(_ span: JSONSpan, with bytes: [UInt8]) {
        add(Edit(start: span.start, end: span.end, bytes: bytes))
    }

    public mutating func insert(_ bytes: [UInt8], at offset: Int) {
        add(Edit(start: offset, end: offset, bytes: bytes))
    }

    public mutating func remove(_ span: JSONSpan) {
        add(Edit(start: span.start, end: span.end, bytes: []))
    }

    private mutating func add(_ edit: Edit) {
        // Kept sorted: there are rarely more than five. An insertion goes before a replacement that starts at the same place.
        var index = edits.count
        while index > 0 {
            let other = edits[index - 1]
            let isBefore = other.start < edit.start || (other.start == edit.start && (edit.end > edit.start || other.end == other.start))
            if isBefore { break }
            index -= 1
        }
        edits.insert(edit, at: index)
    }

    /// Removes members from an object and adds others at its front, commas seen to.
    ///
    /// - Parameters:
    ///   - object: the object's span, braces included.
    ///   - removing: asked once for each member, in order.
    ///   - adding: keys (not yet quoted) and JSON texts.
    public mutating func editObject(
        _ object: JSONSpan, in text: RawSpan, removing: (JSONMember) -> Bool = { _ in false }, adding: [(key: String, value: [UInt8])] = []
    ) throws(ScanError) {
        try editObject(object, in: text, removing: removing, addingText: Self.membersText(adding))
    }

    /// The same with the text of the members to add, commas between them.
    public mutating func editObject(
        _ object: JSONSpan, in text: RawSpan, removing: (JSONMember) -> Bool, addingText adding: [UInt8]
    ) throws(ScanError) {
        var members = JSONMembers(of: object)
        var anyKept = false
        var previousEnd: Int?
        var leadingRemoval: JSONSpan?
        while let member = try members.next(in: text) {
            if removing(member) {
                if anyKept, let previousEnd {
                    remove(JSONSpan(start: previousEnd, end: member.value.end))
                } else {
                    leadingRemoval = JSONSpan(start: leadingRemoval?.start ?? member.key.start, end: member.value.end)
                }
            } else {
                if let removal = leadingRemoval {
                    remove(JSONSpan(start: removal.start, end: member.key.start))
                    leadingRemoval = nil
                }
                anyKept = true
            }
            previousEnd = member.value.end
        }
        if let leadingRemoval { remove(leadingRemoval) }
        guard !adding.isEmpty else { return }
        insert(anyKept ? adding + [UInt8(ascii: ",")] : adding, at: object.start + 1)
    }

    /// Members of an object as they stand in it, without its braces.
    ///
    /// - Parameter members: keys (not yet quoted) and JSON texts.
    public static func membersText(_ members: [(key: String, value: [UInt8])]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (index, member) in members.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            JSONString.append(member.key, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            bytes += member.value
        }
        return bytes
    }

    /// A stretch of the outcome.
    public enum Piece {
        /// Copied from the original.
        case original(JSONSpan)
        case bytes([UInt8])
    }

    /// The outcome, stretch by stretch, for writers with a buffer of their own.
    public func forEachPiece(of count: Int, _ body: (Piece) -> Void) {
        var position = 0
        for edit in edits {
            if edit.start > position { body(.original(JSONSpan(start: position, end: edit.start))) }
            if !edit.bytes.isEmpty { body(.bytes(edit.bytes)) }
            position = max(position, edit.end)
        }
        if position < count { body(.original(JSONSpan(start: position, end: count))) }
    }

    /// How many bytes the outcome has.
    public func outcomeCount(of count: Int) -> Int {
        edits.reduce(count) { $0 - ($1.end - $1.start) + $1.bytes.count }
    }

    /// The outcome as an array.
    public func apply(to text: RawSpan) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(outcomeCount(of: text.byteCount))
        var position = 0
        for edit in edits {
            if edit.start > position { out += text.copy(JSONSpan(start: position, end: edit.start)) }
            out += edit.bytes
            position = max(position, edit.end)
        }
        if position < text.byteCount { out += text.copy(JSONSpan(start: position, end: text.byteCount)) }
        return out
    }
}
