/// Configuration files that editors read with comments and trailing commas ("JSON with comments"). For those files alone: messages are
/// JSON, and no scanner of theirs knows this.
public enum CommentedJSON {
    /// The same text as JSON: a space for each byte of a comment and for each trailing comma, line ends as they were, so that every byte is
    /// where it was. What is neither JSON nor this stays, and is found by whoever reads it.
    public static func plain(_ text: [UInt8]) -> [UInt8] { read(text).plain }

    /// - Returns: that, and where the trailing commas were.
    static func read(_ text: [UInt8]) -> (plain: [UInt8], commas: [Int]) {
        var plain = text
        var commas: [Int] = []
        var position = 0
        /// The last byte that is no space and in no comment.
        var last: UInt8?
        /// A comma after a value, with nothing behind it yet.
        var comma: Int?
        /// A block comment has no end.
        var isUnended = false
        while position < text.count {
            let byte = text[position]
            switch byte {
            case UInt8(ascii: "/"):
                if !isUnended, let end = commentEnd(text, from: position) {
                    for index in position..<end where text[index] != 0x0A && text[index] != 0x0D { plain[index] = 0x20 }
                    position = end
                    continue
                }
                // Where one has no end no later one has: looked for once.
                isUnended = isUnended || position + 1 < text.count && text[position + 1] == UInt8(ascii: "*")
            case UInt8(ascii: "\""):
                position = stringEnd(text, from: position)
                (last, comma) = (byte, nil)
                continue
            case UInt8(ascii: ","):
                comma = last.map { !"[{,:".utf8.contains($0) } == true ? position : nil
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                if let comma {
                    plain[comma] = 0x20
                    commas.append(comma)
                }
                comma = nil
            case 0x20, 0x09, 0x0A, 0x0D:
                position += 1
                continue
            default: comma = nil
            }
            last = byte
            position += 1
        }
        return (plain, commas)
    }

    /// Behind a comment that begins here; nil where there is none, or one without an end.
    static func commentEnd(_ text: [UInt8], from start: Int) -> Int? {
        guard start + 1 < text.count, text[start] == UInt8(ascii: "/") else { return nil }
        switch text[start + 1] {
        case UInt8(ascii: "/"):
            return text[start...].firstIndex { $0 == 0x0A || $0 == 0x0D } ?? text.count
        case UInt8(ascii: "*"):
            var index = start + 2
            while index + 1 < text.count {
                if text[index] == UInt8(ascii: "*"), text[index + 1] == UInt8(ascii: "/") { return index + 2 }
                index += 1
            }
            return nil
        default: return nil
        }
    }

    private static func stringEnd(_ text: [UInt8], from start: Int) -> Int {
        var index = start + 1
        while index < text.count {
            if text[index] == UInt8(ascii: "\\") {
                index += 2
            } else if text[index] == UInt8(ascii: "\"") {
                return index + 1
            } else {
                index += 1
            }
        }
        return text.count
    }
}
