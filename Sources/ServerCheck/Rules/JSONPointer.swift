import JSONText

/// Pointers into JSON (RFC 6901).
enum JSONPointer {
    static func appending(_ token: String, to pointer: String) -> String { JSONDifference.appending(token, to: pointer) }

    /// The value at a pointer; nil where there is none, and where finding it would take more steps than are left.
    static func value(at pointer: String, in root: JSONValue, _ steps: inout Int) -> JSONValue? {
        if pointer.isEmpty { return root }
        guard pointer.hasPrefix("/") else { return nil }
        var value = root
        for token in pointer.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            let key = token.split(separator: "~1", omittingEmptySubsequences: false).map(unescaped).joined(separator: "/")
            steps -= value.objectValue?.count ?? 1
            guard steps > 0 else { return nil }
            let next: JSONValue? = if case .array = value { Int(key).flatMap { value[$0] } } else { value[key] }
            guard let next else { return nil }
            value = next
        }
        return value
    }

    private static func unescaped(_ text: Substring) -> String {
        text.split(separator: "~0", omittingEmptySubsequences: false).joined(separator: "~")
    }
}
