/// The values of `Mcp-Name`: plain, or `=?base64?…?=` where a name does not survive an HTTP field.
public enum HeaderValue {
    private static let prefix = "=?base64?"
    private static let suffix = "?="

    /// The name a header value stands for; `nil` when it looks encoded and is not, so that it matches no name.
    static func decode(_ value: String) -> String? {
        let units = Array(value.utf8)
        guard value.hasPrefix(prefix), value.hasSuffix(suffix), units.count >= prefix.utf8.count + suffix.utf8.count else { return value }
        guard let bytes = Base64.decode(units[prefix.utf8.count..<(units.count - suffix.utf8.count)]) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The header value for a name.
    public static func encode(_ name: String) -> String {
        let units = Array(name.utf8)
        let isPlain = units.allSatisfy { (0x20...0x7E).contains($0) } && units.first != 0x20 && units.last != 0x20
        guard !isPlain || name.hasPrefix(prefix) else { return name }
        return prefix + Base64.encode(units) + suffix
    }
}

/// What an `Accept` header allows.
struct AcceptHeader {
    let json: Bool
    let eventStream: Bool

    init(_ value: String?) {
        // What nearly every client says, to the byte.
        if value == "application/json, text/event-stream" {
            (json, eventStream) = (true, true)
            return
        }
        var (json, eventStream) = (false, false)
        for range in (value ?? "").split(separator: ",") {
            let type = range.prefix { $0 != ";" }.trimmed().lowercased()
            if type == "*/*" || type == "application/*" || type == "application/json" { json = true }
            if type == "*/*" || type == "text/*" || type == "text/event-stream" { eventStream = true }
        }
        (self.json, self.eventStream) = (json, eventStream)
    }
}

extension Substring {
    func trimmed() -> Substring {
        var text = self
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
