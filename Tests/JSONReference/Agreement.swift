import JSONText

/// What the scanner must say of any bytes at all, held against `Reference`. The tests' generator and the fuzzer both feed it.
public enum Agreement {
    /// How our readers and the reference differ over a text; nil: in nothing.
    public static func difference(_ bytes: [UInt8]) -> String? {
        let reference = Reference.parse(bytes)
        return ofValues(bytes, reference) ?? ofEnvelopes(bytes, reference)
    }

    /// Accepting and refusing, and every value read.
    static func ofValues(_ bytes: [UInt8], _ reference: Reference.Value?) -> String? {
        guard let value = try? JSONValue(parsing: bytes) else {
            guard let reference, !reference.hasDuplicateKeys else { return nil }
            return "a text is refused that is JSON"
        }
        guard let reference else { return "a text is accepted that is not JSON" }
        if value.reference != reference { return "a value is read otherwise" }
        if reference.hasDuplicateKeys { return "duplicate keys are accepted" }
        guard let again = try? JSONValue(parsing: value.serialized()), again.reference == reference else {
            return "a value written does not come back"
        }
        return nil
    }

    /// An accepted message is one that a parser of whole values reads, and its spans hold what that parser found; one that is refused
    /// for what it says is JSON, and one that is refused as no JSON is none.
    static func ofEnvelopes(_ bytes: [UInt8], _ reference: Reference.Value?) -> String? {
        do throws(ScanError) {
            return members(of: try EnvelopeScanner.scan(bytes.span.bytes), bytes, reference)
        } catch {
            if error.isMalformed != (reference == nil) { return "refused as \(error.reason.rawValue) at \(error.offset)" }
            guard let id = error.id, let reference else { return nil }
            return at(id, bytes) == reference["id"] ? nil : "the refusal's id is another"
        }
    }

    private static func members(of envelope: Envelope, _ bytes: [UInt8], _ reference: Reference.Value?) -> String? {
        guard case .object? = reference, let message = reference else { return "a message is accepted that is no object" }
        for key in ["jsonrpc", "id", "method", "params", "result", "error"] where message.count(of: key) > 1 { return "\(key) twice" }
        if message["jsonrpc"] != .text("2.0") { return "jsonrpc" }
        if envelope.method.map(Reference.Value.text) != message["method"] { return "method" }
        if at(envelope.result, bytes) != message["result"] { return "result" }
        if at(envelope.error, bytes) != message["error"] { return "error" }
        if message["id"] != .null, at(envelope.id, bytes) != message["id"] { return "id" }
        guard let params = message["params"], case .object = params else { return envelope.params == nil ? nil : "params" }
        if at(envelope.params, bytes) != params { return "params" }
        return parameters(of: envelope, bytes, params)
    }

    private static func parameters(of envelope: Envelope, _ bytes: [UInt8], _ params: Reference.Value) -> String? {
        let keys = [
            "name", "uri", "arguments", "_meta", "taskId", "requestId", "progressToken", "level", "protocolVersion", "requestState",
            "inputResponses", "notifications",
        ]
        for key in keys where params.count(of: key) > 1 { return "params.\(key) twice" }
        let texts = [
            ("name", envelope.name), ("uri", envelope.uri), ("taskId", envelope.taskID), ("level", envelope.level),
            ("protocolVersion", envelope.initializeVersion),
        ]
        for (key, value) in texts where value.map(Reference.Value.text) != text(params[key]) { return "params.\(key)" }
        if at(envelope.nameSpan, bytes) != text(params["name"]) || at(envelope.uriSpan, bytes) != text(params["uri"]) { return "a name's span" }
        if at(envelope.arguments, bytes) != params["arguments"] { return "params.arguments" }
        if at(envelope.requestState, bytes) != text(params["requestState"]) { return "params.requestState" }
        if at(envelope.inputResponses, bytes) != object(params["inputResponses"]) { return "params.inputResponses" }
        if at(envelope.notifications, bytes) != object(params["notifications"]) { return "params.notifications" }
        guard let meta = params["_meta"] else { return envelope.meta == nil ? nil : "params._meta" }
        if at(envelope.meta, bytes) != meta { return "params._meta" }
        let prefix = "io.modelcontextprotocol/"
        for key in [prefix + "protocolVersion", prefix + "clientCapabilities", prefix + "logLevel", "progressToken"] where meta.count(of: key) > 1 {
            return "_meta \(key) twice"
        }
        if envelope.protocolVersion.map(Reference.Value.text) != text(meta[prefix + "protocolVersion"]) { return "_meta protocolVersion" }
        if at(envelope.clientCapabilities, bytes) != object(meta[prefix + "clientCapabilities"]) { return "_meta clientCapabilities" }
        return nil
    }

    private static func at(_ span: JSONSpan?, _ bytes: [UInt8]) -> Reference.Value? { span.flatMap { Reference.parse(Array(bytes[$0.range])) } }

    private static func text(_ value: Reference.Value?) -> Reference.Value? {
        if case .string? = value { value } else { nil }
    }

    private static func object(_ value: Reference.Value?) -> Reference.Value? {
        if case .object? = value { value } else { nil }
    }
}

extension JSONValue {
    /// The same value as the reference has it.
    var reference: Reference.Value {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .number(let text): .number(text)
        case .string(let value): .text(value)
        case .array(let elements): .array(elements.map(\.reference))
        case .object(let object): .object(object.members.map { Reference.Pair(key: Array($0.key.utf8), value: $0.value.reference) })
        }
    }
}
