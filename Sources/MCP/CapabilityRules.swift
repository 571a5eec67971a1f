import JSONText

/// What the revisions' schemas say of `ClientCapabilities`. A server that validates refuses the rest, in a handshake that may serve other
/// clients too.
enum CapabilityRules {
    /// What a client may declare, in bytes: it is kept for as long as a session or a process.
    static let maximumBytes = 64 << 10

    /// - Parameter object: a scanned object.
    /// - Returns: what is wrong with it, naming the member; nil where nothing is.
    static func fault(in object: JSONSpan, of text: RawSpan) -> String? {
        guard object.count <= maximumBytes else { return "is longer than \(maximumBytes) bytes" }
        return fault(in: object, of: text, names: ["roots", "sampling", "elicitation", "experimental", "extensions"]) { name, value in
            guard isObject(value, text) else { return ".\(name) must be an object" }
            switch name {
            case "roots":
                return fault(in: value, of: text, names: ["listChanged"]) { _, flag in
                    [UInt8(ascii: "t"), UInt8(ascii: "f")].contains(text.byte(flag)) ? nil : ".listChanged must be true or false"
                }.map { ".roots\($0)" }
            case "sampling": return objects(in: value, of: text, names: ["context", "tools"]).map { ".sampling\($0)" }
            case "elicitation": return objects(in: value, of: text, names: ["form", "url"]).map { ".elicitation\($0)" }
            default: return objects(in: value, of: text, names: nil).map { ".\(name)\($0)" }
            }
        }
    }

    private static func isObject(_ span: JSONSpan, _ text: RawSpan) -> Bool { text.byte(span) == UInt8(ascii: "{") }

    private static func objects(in object: JSONSpan, of text: RawSpan, names: Set<String>?) -> String? {
        fault(in: object, of: text, names: names) { name, value in
            isObject(value, text) ? nil : (names == nil ? ": each member must be an object" : ".\(name) must be an object")
        }
    }

    /// Walks the members that are named, or all, each of which may be there once: of two equal names every reader takes another one.
    private static func fault(
        in object: JSONSpan, of text: RawSpan, names: Set<String>?, check: (String, JSONSpan) -> String?
    ) -> String? {
        var members = JSONMembers(of: object)
        var seen: Set<String> = []
        while let member = try? members.next(in: text) {
            guard let name = member.keyString(in: text) else { return " has a name that cannot be read" }
            if let names, !names.contains(name) { continue }
            guard seen.insert(name).inserted else { return names == nil ? " names something twice" : " has \(name) twice" }
            // What is null is not there, to the SDKs.
            if text.byte(member.value) == UInt8(ascii: "n") { continue }
            if let fault = check(name, member.value) { return fault }
        }
        return nil
    }
}
