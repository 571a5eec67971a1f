/// The formats of a form's texts, as far as a typed line can be held against them: what a server would refuse anyway. Pure.
enum TextFormat {
    /// - Returns: what the text must be, as a clause; nil where it is that, or the format is none of the protocol's.
    static func complaint(about text: String, format: String) -> String? {
        switch format {
        case "email": isAddress(text) ? nil : "must be an e-mail address"
        case "uri": isURI(text) ? nil : "must be a URI, as https://example.org"
        case "date": isDate(text[...]) ? nil : "must be a date, as 2026-07-28"
        case "date-time": isTime(text) ? nil : "must be a date and time, as 2026-07-28T12:00:00Z"
        default: nil
        }
    }

    private static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count >= 2 && parts.allSatisfy { !$0.isEmpty } && !text.contains(where: \.isWhitespace)
    }

    private static func isURI(_ text: String) -> Bool {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), text.utf8.index(after: colon) < text.endIndex else { return false }
        let scheme = text.utf8[..<colon]
        guard let first = scheme.first, (0x61...0x7A).contains(first | 0x20) else { return false }
        let isKnown = scheme.allSatisfy { (0x61...0x7A).contains($0 | 0x20) || (0x30...0x39).contains($0) || "+-.".utf8.contains($0) }
        return isKnown && !text.contains(where: \.isWhitespace)
    }

    private static func isDate(_ text: Substring) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [4, 2, 2], let year = number(parts[0]), let month = number(parts[1]), let day = number(parts[2]),
            (1...12).contains(month)
        else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return (1...[31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]).contains(day)
    }

    /// RFC 3339: with its offset from UTC.
    private static func isTime(_ text: String) -> Bool {
        guard let mark = text.firstIndex(where: { $0 == "T" || $0 == "t" || $0 == " " }), isDate(text[..<mark]) else { return false }
        var rest = text[text.index(after: mark)...]
        if let last = rest.last, last == "Z" || last == "z" {
            rest = rest.dropLast()
        } else {
            guard let sign = rest.lastIndex(where: { $0 == "+" || $0 == "-" }), isClock(rest[rest.index(after: sign)...], [23, 59])
            else { return false }
            rest = rest[..<sign]
        }
        let whole = rest.prefix { $0 != "." }
        let fraction = rest[whole.endIndex...]
        guard isClock(whole, [23, 59, 60]), fraction.utf8.count != 1 else { return false }
        return fraction.dropFirst().utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func isClock(_ text: Substring, _ most: [Int]) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == most.count && zip(parts, most).allSatisfy { part, most in
            part.utf8.count == 2 && number(part).map { $0 <= most } ?? false
        }
    }

    private static func number(_ text: Substring) -> Int? { text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil }
}
