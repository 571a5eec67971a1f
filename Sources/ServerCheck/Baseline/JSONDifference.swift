import JSONText

/// Where two JSON values differ. The order of members does not count.
struct JSONDifference: Equatable {
    var pointer: String
    /// nil: it is new.
    var before: JSONValue?
    /// nil: it is gone.
    var after: JSONValue?

    static func between(_ before: JSONValue, _ after: JSONValue, at pointer: String = "") -> [JSONDifference] {
        switch (before, after) {
        case (.object(let old), .object(let new)):
            let keys = old.keys + new.keys.filter { old[$0] == nil }
            return keys.flatMap { key -> [JSONDifference] in
                let place = JSONPointer.appending(key, to: pointer)
                guard let left = old[key], let right = new[key] else { return [JSONDifference(pointer: place, before: old[key], after: new[key])] }
                return between(left, right, at: place)
            }
        case (.array(let old), .array(let new)) where old.count == new.count:
            return zip(old, new).enumerated().flatMap { between($1.0, $1.1, at: "\(pointer)/\($0)") }
        default:
            return before == after ? [] : [JSONDifference(pointer: pointer, before: before, after: after)]
        }
    }
}
