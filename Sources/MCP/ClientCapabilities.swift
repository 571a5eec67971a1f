import JSONText
public import NIOCore

/// What a client declared that it can be asked for. Asking for anything else is an error of the server's.
struct ClientCapabilities: OptionSet, Sendable {
    var rawValue: UInt8

    /// Elicitation by a form. A client of the handshake revisions says so with an empty object.
    static let form = ClientCapabilities(rawValue: 1)
    /// Elicitation by a URL that a person opens.
    static let url = ClientCapabilities(rawValue: 2)
    static let sampling = ClientCapabilities(rawValue: 4)
    /// Sampling with tools.
    static let samplingTools = ClientCapabilities(rawValue: 8)
    static let roots = ClientCapabilities(rawValue: 16)

    init(rawValue: UInt8) { self.rawValue = rawValue }

    /// - Parameter object: The text of a `capabilities` object; what cannot be read declares nothing.
    init(_ object: ByteBuffer?) {
        self = []
        guard let object else { return }
        let text = object.readableBytesSpan
        func member(_ name: StaticString, of span: JSONSpan) -> JSONSpan? {
            guard let value = try? JSONMembers.value(of: name, object: span, in: text), text.byte(value) == UInt8(ascii: "{") else { return nil }
            return value
        }
        let whole = JSONSpan(start: 0, end: object.readableBytes)
        if let elicitation = member("elicitation", of: whole) {
            let byURL = member("url", of: elicitation) != nil
            if byURL { insert(.url) }
            if !byURL || member("form", of: elicitation) != nil { insert(.form) }
        }
        if let sampling = member("sampling", of: whole) {
            insert(.sampling)
            if member("tools", of: sampling) != nil { insert(.samplingTools) }
        }
        if member("roots", of: whole) != nil { insert(.roots) }
    }

    /// As a client declares them.
    var object: JSONValue {
        var object = JSONObject()
        if !isDisjoint(with: [.form, .url]) {
            var modes = JSONObject()
            if contains(.form) { modes["form"] = [:] }
            if contains(.url) { modes["url"] = [:] }
            object["elicitation"] = .object(modes)
        }
        if contains(.samplingTools) { object["sampling"] = ["tools": [:]] } else if contains(.sampling) { object["sampling"] = [:] }
        if contains(.roots) { object["roots"] = [:] }
        return .object(object)
    }

    /// For people.
    var words: String {
        let names: [(ClientCapabilities, String)] = [
            (.form, "elicitation by a form"), (.url, "elicitation by a URL"), (.sampling, "sampling"), (.samplingTools, "sampling with tools"),
            (.roots, "roots"),
        ]
        return names.filter { contains($0.0) }.map(\.1).joined(separator: ", ")
    }

    private static func hasOnce(_ names: Set<String>, in params: ByteBuffer) -> Bool {
        let text = params.readableBytesSpan
        var members = JSONMembers(of: JSONSpan(start: 0, end: params.readableBytes))
        var seen: Set<String> = []
        while let member = try? members.next(in: text) {
            guard let key = member.keyString(in: text), names.contains(key) else { continue }
            guard seen.insert(key).inserted else { return false }
        }
        return true
    }

    /// What a server's request asks of its client; `nil` for a method that no client is asked, and for parameters that say it twice.
    static func needed(for method: String, params: ByteBuffer?) -> ClientCapabilities? {
        // Of two equal names every reader takes another one.
        if let params, !hasOnce(["mode", "tools", "toolChoice"], in: params) { return nil }
        func has(_ name: StaticString) -> JSONSpan? {
            guard let params else { return nil }
            return try? JSONMembers.value(of: name, object: JSONSpan(start: 0, end: params.readableBytes), in: params.readableBytesSpan)
        }
        switch method {
        case "elicitation/create":
            let mode = has("mode").flatMap { span in params.flatMap { JSONString.unquote(span, in: $0.readableBytesSpan) } }
            return mode == "url" ? .url : .form
        case "sampling/createMessage":
            return has("tools") == nil && has("toolChoice") == nil ? .sampling : [.sampling, .samplingTools]
        case "roots/list": return .roots
        default: return nil
        }
    }
}

extension Back {
    /// Whether whoever was told of the first can ask a client that declared the second all that it can be asked.
    public static func covers(_ told: ByteBuffer, _ capabilities: ByteBuffer?) -> Bool {
        ClientCapabilities(told).isSuperset(of: ClientCapabilities(capabilities))
    }
}
