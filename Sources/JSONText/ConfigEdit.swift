/// Sets one member of an object in a configuration file that people keep by hand: everything else stays byte for byte, and what is
/// written looks like the rest of the file, line ends included.
public enum ConfigEdit {
    /// Why a file cannot be edited.
    public enum Refusal: Error, Sendable, Equatable {
        /// Not JSON, at this line and column, counted from one.
        case broken(line: Int, column: Int, reason: String)
        /// There is something else where the object must be.
        case notAnObject(String)
    }

    /// - Parameters:
    ///   - section: the object of the root that holds the entries; made where it is missing.
    ///   - text: the file; empty for a new one.
    ///   - mayHaveComments: comments and trailing commas are the file's right, and stay.
    public static func setting(
        _ name: String, to value: JSONValue, in section: String, of text: [UInt8], mayHaveComments: Bool = false
    ) throws(Refusal) -> [UInt8] {
        let mark: [UInt8] = text.starts(with: [0xEF, 0xBB, 0xBF]) ? [0xEF, 0xBB, 0xBF] : []
        let body = Array(text.dropFirst(mark.count))
        guard body.contains(where: { !isSpace($0) }) else {
            let fresh: JSONValue = .record((section, .record((name, value))))
            return mark + Array(pretty(fresh, unit: "  ", level: 0).utf8) + [0x0A]
        }
        do throws(ScanError) {
            // All of it, so that nothing is written into a file that its own program cannot read.
            let file = File(body, mayHaveComments: mayHaveComments)
            let whole = try JSONValue(parsing: file.plain, limits: ScanLimits(maximumBytes: 256 << 20))
            guard whole.objectValue != nil else { throw ScanError(.notAnObject, at: 0) }
            guard whole[section].map({ $0.objectValue != nil }) ?? true else { throw ScanError(.invalidMember, at: 0) }
            return mark + (try edited(name, value, section, file))
        } catch {
            switch error.reason {
            case .notAnObject: throw .notAnObject("the file")
            case .invalidMember: throw .notAnObject("\"\(section)\"")
            default:
                let (line, column) = place(error.offset, in: body)
                throw .broken(line: line, column: column, reason: error.reason.rawValue)
            }
        }
    }

    private static func edited(_ name: String, _ value: JSONValue, _ section: String, _ file: File) throws(ScanError) -> [UInt8] {
        let text = file.plain.span.bytes
        let start = file.plain.firstIndex { !isSpace($0) } ?? 0
        let root = JSONSpan(start: start, end: file.plain.count)
        let unit = file.indentation(from: start)
        var splice = Splice()
        guard let entries = try member(section, of: root, in: text) else {
            let object: JSONValue = .record((name, value))
            try append(section, pretty(object, unit: unit, level: 1), to: root, unit: unit, level: 1, file: file, splice: &splice)
            return splice.apply(to: file.body.span.bytes)
        }
        let new = pretty(value, unit: unit, level: 2)
        if let old = try member(name, of: entries, in: text) {
            splice.replace(old, with: file.lines(new))
        } else {
            try append(name, new, to: entries, unit: unit, level: 2, file: file, splice: &splice)
        }
        return splice.apply(to: file.body.span.bytes)
    }

    private static func member(_ name: String, of object: JSONSpan, in text: RawSpan) throws(ScanError) -> JSONSpan? {
        var members = JSONMembers(of: object)
        while let member = try members.next(in: text) {
            if member.keyString(in: text) == name { return member.value }
        }
        return nil
    }

    /// Behind the last member, and behind what is said of it on its line, on a line of its own.
    private static func append(
        _ key: String, _ value: String, to object: JSONSpan, unit: String, level: Int, file: File, splice: inout Splice
    ) throws(ScanError) {
        var members = JSONMembers(of: object)
        var last: JSONSpan?
        while let member = try members.next(in: file.plain.span.bytes) { last = member.value }
        let indent = String(repeating: unit, count: level)
        let entry = "\n\(indent)\(String(decoding: JSONString.quote(key), as: UTF8.self)): \(value)"
        // From here to the closing brace there are only white space and comments.
        let begin = last?.end ?? object.start + 1
        let end = file.plain[begin...].firstIndex { !isSpace($0) } ?? file.plain.count
        if last != nil {
            let comma = file.commas.first { (begin..<end).contains($0) }
            if comma == nil { splice.insert([UInt8(ascii: ",")], at: begin) }
            let place = file.endOfComments(from: comma.map { $0 + 1 } ?? begin)
            splice.insert(file.lines(entry + (comma == nil ? "" : ",")), at: place)
        } else {
            let words = file.body[begin..<end].lastIndex { !isSpace($0) }.map { $0 + 1 } ?? begin
            let closing = String(repeating: unit, count: level - 1)
            splice.replace(JSONSpan(start: words, end: end), with: file.lines(entry + "\n" + closing))
        }
    }

    /// A file as it stands, and as JSON with each byte in its place.
    private struct File {
        let body: [UInt8]
        let plain: [UInt8]
        /// Trailing ones.
        let commas: [Int]
        /// Its first line ends in CR LF, and so do those that are added.
        private let hasCarriageReturns: Bool

        init(_ body: [UInt8], mayHaveComments: Bool) {
            self.body = body
            (plain, commas) = mayHaveComments ? CommentedJSON.read(body) : (body, [])
            hasCarriageReturns = body.firstIndex(of: 0x0A).map { $0 > 0 && body[$0 - 1] == 0x0D } ?? false
        }

        /// Text of ours, with the file's line ends.
        func lines(_ text: String) -> [UInt8] {
            hasCarriageReturns ? text.utf8.flatMap { $0 == 0x0A ? [0x0D, 0x0A] : [$0] } : Array(text.utf8)
        }

        /// What the root's first member is indented by; two spaces where that cannot be seen.
        func indentation(from start: Int) -> String {
            let between = plain[(start + 1)...].prefix(while: ConfigEdit.isSpace)
            guard let newline = between.lastIndex(of: 0x0A) else { return "  " }
            let indent = body[(newline + 1)..<between.endIndex].prefix { $0 == 0x20 || $0 == 0x09 }
            return indent.isEmpty ? "  " : String(decoding: indent, as: UTF8.self)
        }

        /// Behind the comments that begin on the line of `start`, which is between two values.
        func endOfComments(from start: Int) -> Int {
            var (end, position) = (start, start)
            while position < plain.count, ConfigEdit.isSpace(plain[position]), body[position] != 0x0A, body[position] != 0x0D {
                if let comment = CommentedJSON.commentEnd(body, from: position) {
                    (end, position) = (comment, comment)
                } else {
                    position += 1
                }
            }
            return end
        }
    }

    /// A value over several lines, the way people write them.
    public static func pretty(_ value: JSONValue, unit: String, level: Int) -> String {
        let (inner, outer) = (String(repeating: unit, count: level + 1), String(repeating: unit, count: level))
        switch value {
        case .object(let object) where !object.isEmpty:
            let members = object.members.map {
                inner + String(decoding: JSONString.quote($0.key), as: UTF8.self) + ": " + pretty($0.value, unit: unit, level: level + 1)
            }
            return "{\n" + members.joined(separator: ",\n") + "\n\(outer)}"
        case .array(let elements) where !elements.isEmpty:
            return "[" + elements.map { pretty($0, unit: unit, level: level + 1) }.joined(separator: ", ") + "]"
        default: return value.text
        }
    }

    /// Where a byte is, counted from one.
    public static func place(_ offset: Int, in body: [UInt8]) -> (line: Int, column: Int) {
        let before = body.prefix(offset)
        let line = before.count { $0 == 0x0A } + 1
        let column = before.count - (before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0) + 1
        return (line, column)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
}
