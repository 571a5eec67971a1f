import JSONText

/// References inside one schema: clients get the schema and nothing else, so that is where they must lead.
extension SchemaWalk {
    mutating func checkReference(_ schema: JSONValue, _ pointer: String) {
        for keyword in ["$ref", "$dynamicRef"] {
            guard let value = schema[keyword] else { continue }
            let place = pointer + "/" + keyword
            guard let reference = value.stringValue else {
                fail("\(keyword) is no string", place, "give a string such as #/$defs/NAME")
                continue
            }
            guard reference.hasPrefix("#") else {
                fail(
                    "\(reference.prefix(120)) leads out of the schema, and clients do not fetch it", place,
                    "copy what it names below $defs and refer to #/$defs/NAME")
                continue
            }
            let fragment = Self.decoded(reference.dropFirst())
            let isFound =
                fragment.isEmpty || fragment.hasPrefix("/")
                ? JSONPointer.value(at: fragment, in: root) != nil : Self.hasAnchor(fragment, in: root, depth: 0)
            if !isFound {
                fail("\(reference.prefix(120)) leads nowhere", place, "define it below $defs; a pointer counts from the schema's own top")
            }
        }
    }

    private static func hasAnchor(_ name: String, in value: JSONValue, depth: Int) -> Bool {
        guard depth < 64 else { return false }
        switch value {
        case .object(let object):
            if ["$anchor", "$dynamicAnchor"].contains(where: { object[$0]?.stringValue == name }) { return true }
            return object.members.contains { hasAnchor(name, in: $0.value, depth: depth + 1) }
        case .array(let values): return values.contains { hasAnchor(name, in: $0, depth: depth + 1) }
        default: return false
        }
    }

    /// Without percent signs: a fragment is part of a URI.
    private static func decoded(_ fragment: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(fragment.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            if byte == UInt8(ascii: "%"), rest.count >= 2, let value = UInt8(digits, radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
