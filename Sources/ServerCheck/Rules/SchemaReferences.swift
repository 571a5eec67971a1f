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
                    "\(Excerpt.of(reference, 120)) leads out of the schema, and clients do not fetch it", place,
                    "copy what it names below $defs and refer to #/$defs/NAME")
                continue
            }
            let fragment = Self.decoded(reference.dropFirst())
            let isFound =
                fragment.isEmpty || fragment.hasPrefix("/")
                ? JSONPointer.value(at: fragment, in: root, &steps) != nil : anchors.contains(fragment)
            // Without steps it may not have been looked for, and nothing more is said.
            if !isFound {
                fail("\(Excerpt.of(reference, 120)) leads nowhere", place, "define it below $defs; a pointer counts from the schema's own top")
            }
        }
    }

    static func anchors(in root: JSONValue) -> Set<String> {
        var found: Set<String> = []
        func look(_ value: JSONValue, _ depth: Int) {
            guard depth < 64 else { return }
            switch value {
            case .object(let object):
                for (key, value) in object.members {
                    if key == "$anchor" || key == "$dynamicAnchor", let name = value.stringValue { found.insert(name) }
                    look(value, depth + 1)
                }
            case .array(let values): for value in values { look(value, depth + 1) }
            default: break
            }
        }
        look(root, 0)
        return found
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
