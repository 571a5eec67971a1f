/// Where two JSON values differ. The order of members does not count.
public struct JSONDifference: Sendable, Equatable {
    /// Of RFC 6901.
    public var pointer: String
    /// nil: it is new.
    public var before: JSONValue?
    /// nil: it is gone.
    public var after: JSONValue?

    public init(pointer: String, before: JSONValue?, after: JSONValue?) {
        self.pointer = pointer
        self.before = before
        self.after = after
    }

    /// Every place where they do; an array of another length is one.
    public static func between(_ before: JSONValue, _ after: JSONValue, at pointer: String = "") -> [JSONDifference] {
        switch (before, after) {
        case (.object(let old), .object(let new)):
            let keys = old.keys + new.keys.filter { old[$0] == nil }
            return keys.flatMap { key -> [JSONDifference] in
                let place = appending(key, to: pointer)
                guard let left = old[key], let right = new[key] else { return [JSONDifference(pointer: place, before: old[key], after: new[key])] }
                return between(left, right, at: place)
            }
        case (.array(let old), .array(let new)) where old.count == new.count:
            return zip(old, new).enumerated().flatMap { between($1.0, $1.1, at: "\(pointer)/\($0)") }
        default:
            return before == after ? [] : [JSONDifference(pointer: pointer, before: before, after: after)]
        }
    }

    /// A pointer to a member of what `pointer` points to.
    public static func appending(_ token: String, to pointer: String) -> String {
        var escaped = ""
        for character in token {
            switch character {
            case "~": escaped += "~0"
            case "/": escaped += "~1"
            default: escaped.append(character)
            }
        }
        return pointer + "/" + escaped
    }
}
